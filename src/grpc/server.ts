/**
 * The gRPC door: takes the HTTP/2 streams whose content type is gRPC's and gives each to the handler of its
 * method. Knows no etcd.
 */
import type { HeaderList, Http2Stream } from '../http2/index.ts';
import { fieldValue } from '../rpc/metadata.ts';
import type { RpcError } from '../rpc/status.ts';
import { leadsBack } from '../rpc/via.ts';
import type { GrpcServerOptions } from './options.ts';
import { ReplyLines } from './reply-lines.ts';
import { meansGrpc, requestHead } from './request-head.ts';
import { refuse } from './server-call.ts';
import { StreamServerCall } from './stream-server-call.ts';
import { UnaryServerCall } from './unary-server-call.ts';

/** The options of the gRPC door. It makes the reply lines itself. */
export type GrpcDoorOptions = Omit<GrpcServerOptions, 'replies'>;

/** The gRPC door. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  /** The open streaming calls, bounded by the streams that the connections may have. */
  readonly #streams = new Set<StreamServerCall>();

  constructor(options: GrpcDoorOptions) {
    this.#options = { ...options, replies: new ReplyLines() };
  }

  /** Whether a request with these headers is for this door, be it to be refused. */
  takes(headers: HeaderList): boolean {
    return meansGrpc(fieldValue(headers, 'content-type'));
  }

  /** Takes a new HTTP/2 stream if it is a gRPC request. Otherwise returns `false` and leaves it alone. */
  accept(stream: Http2Stream): boolean {
    if (!this.takes(stream.headers)) return false;
    const head = requestHead(stream.headers);
    if (head.refusal) {
      refuse(stream, head, head.refusal);
      return true;
    }
    const { services, refusesOwn = false } = this.#options;
    if (head.wasHere && refusesOwn) {
      refuse(stream, head, { error: leadsBack(), httpStatus: '200', encoding: false });
      return true;
    }
    const method = services.method(head.path);
    const unary = services.unary(head.path);
    if (unary) {
      stream.listener = new UnaryServerCall(stream, head, method, this.#options, unary);
      return true;
    }
    const call = new StreamServerCall(stream, head, method, this.#options, this.#streams);
    stream.listener = call;
    services.stream(head.path)(call, call);
    return true;
  }

  /**
   * Ends open streaming calls: those that both sides keep open and so never end by themselves, or all.
   * Clients of etcd resume such streams elsewhere after UNAVAILABLE.
   */
  endStreams(which: 'endless' | 'all', status: RpcError): void {
    for (const call of this.#streams) {
      if (which === 'all' || call.method.kind === 'bidi_stream') call.breakOff(status);
    }
  }
}
