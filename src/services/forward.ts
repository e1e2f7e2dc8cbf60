/**
 * Passes a call to etcd as it is and the answer back, one to one. A side that cannot take more stops the other
 * from being read, so memory stays flat however slow a client is.
 */
import type {
  Call,
  ClientStream,
  ClientStreamListener,
  ServerStream,
  ServerStreamListener,
  StreamHandler,
  UnaryHandler,
  Upstream,
} from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Status } from '../rpc/status.ts';

/** A handler that forwards unary calls. */
export function forwardUnary(upstream: Upstream): UnaryHandler {
  return (request, call) => upstream.unary(request, call);
}

/** A handler that forwards streaming calls message by message. */
export function forwardStream(upstream: Upstream): StreamHandler {
  return (client, call) => {
    const answers = new EtcdToClient(client, call);
    const etcd = upstream.stream(call, answers);
    answers.etcd = etcd;
    client.listener = new ClientToEtcd(client, etcd);
  };
}

/** What the client says goes to etcd. */
class ClientToEtcd implements ServerStreamListener {
  readonly #client: ServerStream;
  readonly #etcd: ClientStream;

  constructor(client: ServerStream, etcd: ClientStream) {
    this.#client = client;
    this.#etcd = etcd;
  }

  onMessage(message: Uint8Array): void {
    if (!this.#etcd.send(message)) this.#client.pause();
  }

  onHalfClose(): void {
    this.#etcd.halfClose();
  }

  onDrain(): void {
    this.#etcd.resume();
  }

  onCancel(): void {
    this.#etcd.cancel();
  }
}

/** What etcd answers goes to the client. */
class EtcdToClient implements ClientStreamListener {
  readonly #client: ServerStream;
  readonly #call: Call;
  /** Set as soon as the stream is open, before its first event. */
  etcd: ClientStream | undefined;

  constructor(client: ServerStream, call: Call) {
    this.#client = client;
    this.#call = call;
  }

  onHeaders(metadata: Metadata): void {
    this.#call.responseHeaders = metadata;
    this.#client.sendHeaders();
  }

  onMessage(message: Uint8Array): void {
    if (!this.#client.send(message)) this.etcd?.pause();
  }

  onDrain(): void {
    this.#client.resume();
  }

  onEnd(status: Status, trailers: Metadata): void {
    if (trailers !== NO_METADATA) this.#call.responseTrailers = trailers;
    this.#client.end(status);
  }
}
