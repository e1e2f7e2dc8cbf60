/** A unary call from a gRPC client: one message in, one message out. */
import type { Http2Stream } from '../http2/index.ts';
import { LARGE_REPLY_BYTES, type RoomWaiter, type UnaryHandler } from '../rpc/contract.ts';
import { NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { Code, OK, RpcError } from '../rpc/status.ts';
import { ENVELOPE_BYTES, envelopeHead, smallEnvelope } from './envelope.ts';
import { OK_TRAILERS_BLOCK } from './fields.ts';
import type { GrpcServerOptions } from './options.ts';
import type { RequestHead } from './request-head.ts';
import { ServerCall } from './server-call.ts';

/** Stands for a request that its service has. */
const TAKEN = new Uint8Array(0);

export class UnaryServerCall extends ServerCall implements RoomWaiter {
  readonly #handler: UnaryHandler;
  #request: Uint8Array | undefined;
  /** A large reply, until the client has it. */
  #large: Uint8Array | undefined;

  constructor(
    stream: Http2Stream,
    head: RequestHead,
    method: Method,
    options: GrpcServerOptions,
    handler: UnaryHandler,
  ) {
    super(stream, head, method, options);
    this.#handler = handler;
  }

  override onData(stream: Http2Stream, chunk: Buffer): void {
    const whole =
      this.#request === undefined &&
      this.requestComplete &&
      chunk.length >= ENVELOPE_BYTES &&
      chunk[0] === 0 &&
      chunk.readUInt32BE(1) === chunk.length - ENVELOPE_BYTES &&
      chunk.length - ENVELOPE_BYTES <= this.options.receive.maxBytes;
    if (whole && !this.ended) this.onMessage(chunk.subarray(ENVELOPE_BYTES));
    else super.onData(stream, chunk);
  }

  onMessage(message: Uint8Array): void {
    if (this.#request !== undefined) {
      this.breakOff(new RpcError(Code.INTERNAL, 'grpc: received more than one message for a unary call'));
      return;
    }
    this.options.observer.onReceived(this);
    this.#request = message;
    // What arrived was counted; a message may be longer once it is unpacked.
    if (this.mayBePacked && !this.stream.charge(message.length)) this.onTooMuch();
  }

  /** The request is whole only now: a message that something follows is not a unary request. */
  onEnd(): void {
    if (this.ended) return;
    if (this.#request === undefined || !this.requestComplete) {
      this.breakOff(new RpcError(Code.INTERNAL, 'grpc: the request ended before its message was complete'));
      return;
    }
    if (this.isOver()) return;
    try {
      const request = this.#request;
      // Handlers that need the request keep it; those that make something else of it need not have both in memory.
      this.#request = TAKEN;
      const reply = this.#handler(request, this);
      if (reply instanceof Promise) {
        reply.then(
          (message) => this.#reply(message),
          (error: unknown) => this.#fail(error),
        );
      } else this.#reply(reply);
    } catch (error) {
      this.#fail(error);
    }
  }

  onDrain(): void {
    // A reply is queued as a whole; nothing waits for room.
  }

  /** The connection has room for the large reply. */
  onRoom(): void {
    if (this.#large !== undefined) this.#send(this.#large);
  }

  override onClose(stream: Http2Stream, code: number, local: boolean): void {
    super.onClose(stream, code, local);
    const large = this.#large;
    this.#large = undefined;
    if (large !== undefined) this.outlet.release(large);
  }

  protected override abandoned(): void {
    this.#request = undefined;
    if (this.#large !== undefined) this.outlet.leave(this);
  }

  #reply(message: Uint8Array): void {
    if (this.ended) return;
    if (message.length < LARGE_REPLY_BYTES) {
      this.#send(message);
      return;
    }
    this.#large = message;
    this.outlet.hold(message);
    if (this.outlet.room) this.#send(message);
    else this.outlet.wait(this);
  }

  #send(message: Uint8Array): void {
    if (this.ended) return;
    this.options.observer.onSent(this);
    const envelope = smallEnvelope(message);
    if (envelope && this.responseTrailers === NO_METADATA) {
      this.finish(Code.OK);
      this.stream.sendReply(this.headersBlock(), envelope, OK_TRAILERS_BLOCK);
      return;
    }
    this.writeHeaders();
    if (envelope) this.stream.sendData(envelope);
    else this.stream.sendParts(envelopeHead(message.length), message);
    this.sendStatus(OK);
  }

  #fail(error: unknown): void {
    if (this.ended) return;
    if (!(error instanceof RpcError)) this.options.observer.onFault(error, this);
    this.sendStatus(RpcError.from(error));
  }
}
