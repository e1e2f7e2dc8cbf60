/** A streaming call from a gRPC client, of any of the three kinds; also an unknown method, forwarded as bytes. */
import type { Http2Stream } from '../http2/index.ts';
import type { ServerStream, ServerStreamListener } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import { envelopeHead, envelopeStart, smallEnvelope } from './envelope.ts';
import type { GrpcServerOptions } from './options.ts';
import type { RequestHead } from './request-head.ts';
import { ServerCall } from './server-call.ts';

/** What a message that may come packed counts for: to unpack one takes as long as to take some others. */
const PACKED_FRAMES = 8;

export class StreamServerCall extends ServerCall implements ServerStream {
  listener: ServerStreamListener;

  readonly #open: Set<StreamServerCall>;
  /** Bytes that have arrived and are held. */
  #held = 0;

  /** @param open the set that the call is in while it is open */
  constructor(
    stream: Http2Stream,
    head: RequestHead,
    method: Method,
    options: GrpcServerOptions,
    open: Set<StreamServerCall>,
  ) {
    super(stream, head, method, options);
    this.listener = NO_STREAM_LISTENER;
    this.#open = open;
    open.add(this);
  }

  override onData(stream: Http2Stream, chunk: Buffer): void {
    this.#held += chunk.length;
    super.onData(stream, chunk);
    this.#releasePassedOn();
  }

  override onUnpacked(error: RpcError | undefined): void {
    this.#releasePassedOn();
    super.onUnpacked(error);
  }

  onMessage(message: Uint8Array): void {
    this.stream.countMessage(this.mayBePacked ? PACKED_FRAMES : 1);
    if (this.ended) return;
    this.options.observer.onReceived(this);
    this.listener.onMessage(message);
  }

  onEnd(): void {
    if (this.ended) return;
    if (!this.requestComplete) {
      this.breakOff(new RpcError(Code.INTERNAL, 'grpc: the request ended within a message'));
      return;
    }
    this.listener.onHalfClose();
  }

  onDrain(): void {
    if (!this.ended) this.listener.onDrain();
  }

  sendHeaders(): void {
    if (!this.ended && !this.headersSent) this.writeHeaders();
  }

  send(message: Uint8Array): boolean {
    if (this.ended) return true;
    if (!this.headersSent) this.writeHeaders();
    this.options.observer.onSent(this);
    const envelope = smallEnvelope(message);
    if (envelope) return this.stream.sendData(envelope);
    return this.stream.sendParts(envelopeHead(message.length), message);
  }

  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    if (this.ended) return true;
    if (!this.headersSent) this.writeHeaders();
    this.options.observer.onSent(this);
    return this.stream.sendJoined(envelopeStart(head, tail.length), tail);
  }

  end(status: Status): void {
    this.sendStatus(status);
  }

  hold(bytes: number): void {
    // The only message of this kind is counted until the call ends.
    if (this.method.kind !== 'server_stream') this.stream.hold(bytes);
  }

  /** Stops counting bytes that were passed on. A service that keeps them counts them by {@link hold}. */
  #releasePassedOn(): void {
    const passedOn = this.#held - this.pending;
    if (passedOn <= 0 || this.method.kind === 'server_stream') return;
    this.#held -= passedOn;
    this.stream.release(passedOn);
  }

  protected override finish(code: number): void {
    this.#open.delete(this);
    super.finish(code);
  }

  protected override abandoned(): void {
    const listener = this.listener;
    this.listener = NO_STREAM_LISTENER;
    listener.onCancel();
  }
}
