/**
 * What all calls of gRPC clients have in common: the deadline, cancellation, and the forms in which a call can
 * end. One object is the call, its HTTP/2 stream's listener and (for streams) the client's side of it.
 */
import {
  encodeHeaders,
  type HeaderList,
  type Http2Stream,
  IGNORING,
  type StreamListener,
} from '../http2/index.ts';
import { type Client, clientOf } from '../rpc/client.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { Code, OK, RpcError, type Status, TOO_MUCH_HELD } from '../rpc/status.ts';
import { MAX_TIMER_MS } from '../rpc/timer.ts';
import { Deframer, type MessageSink } from './envelope.ts';
import { OK_TRAILERS_BLOCK, statusFields } from './fields.ts';
import type { GrpcServerOptions } from './options.ts';
import type { Refusal } from './refusals.ts';
import type { ReplyLine } from './reply-lines.ts';
import type { RequestHead } from './request-head.ts';

/** A call from a gRPC client. */
export abstract class ServerCall implements Call, StreamListener, MessageSink {
  readonly method: Method;
  readonly metadata: Metadata;
  readonly deadline: number;
  cancelled = false;
  work: Cancellable | undefined;
  responseHeaders: Metadata = NO_METADATA;
  responseTrailers: Metadata = NO_METADATA;

  protected readonly stream: Http2Stream;
  protected readonly options: GrpcServerOptions;
  /** The final status was sent or nobody is there to read it. */
  protected ended = false;
  protected headersSent = false;
  readonly #head: RequestHead;
  #deframer: Deframer | undefined;
  /** Why nothing of the request is read now: the service wants a pause, or a message is being unpacked. */
  #paused = false;
  #unpacking = false;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(stream: Http2Stream, head: RequestHead, method: Method, options: GrpcServerOptions) {
    this.stream = stream;
    this.method = method;
    this.metadata = head.metadata;
    this.#head = head;
    this.options = options;
    if (head.timeout === undefined) {
      this.deadline = Number.POSITIVE_INFINITY;
      this.#timer = undefined;
    } else {
      this.deadline = stream.openedAt + head.timeout;
      stream.givenUpAt = this.deadline;
      // A deadline beyond the longest timer is as good as that one.
      this.#timer = setTimeout(
        expire,
        Math.max(0, Math.min(this.deadline - performance.now(), MAX_TIMER_MS)),
        this,
      );
    }
    options.observer.onStarted(this);
  }

  get client(): Client {
    return clientOf(this.stream.connection);
  }

  get authority(): string {
    return this.#head.authority;
  }

  get outlet(): ReplyLine {
    return this.options.replies.of(this.stream.connection);
  }

  /** A complete message arrived. */
  abstract onMessage(message: Uint8Array): void;
  abstract onEnd(stream: Http2Stream): void;
  abstract onDrain(stream: Http2Stream): void;
  /** The client is gone: tell whoever works on the call. */
  protected abstract abandoned(): void;

  onHeaders(): void {
    // Only responses have a second block of headers; the engine reports a server's second block as trailers.
  }

  onTrailers(_stream: Http2Stream, _fields: HeaderList): void {
    // gRPC clients send no trailers; HTTP allows them and gives them no meaning here.
  }

  onData(_stream: Http2Stream, chunk: Buffer): void {
    if (this.ended || this.isOver()) return;
    this.#deframer ??= new Deframer(this.options.receive, this.#head.encoding);
    const error = this.#deframer.push(chunk, this);
    if (error) this.breakOff(error);
  }

  /** Whether messages may come packed. */
  protected get mayBePacked(): boolean {
    return this.#head.encoding !== undefined;
  }

  onUnpacking(): object {
    this.#unpacking = true;
    this.stream.pause();
    return this.stream.connection;
  }

  onUnpacked(error: RpcError | undefined): void {
    this.#unpacking = false;
    if (this.ended) return;
    if (error) this.breakOff(error);
    else if (!this.#paused) this.stream.resume();
  }

  pause(): void {
    this.#paused = true;
    this.stream.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#unpacking) this.stream.resume();
  }

  onClose(_stream: Http2Stream, _code: number, _local: boolean): void {
    if (this.ended) return;
    this.#cancel();
    this.finish(Code.CANCELLED);
  }

  /** Too much is held for the requests of all clients, and this one is not complete. */
  onTooMuch(): boolean {
    this.breakOff(new RpcError(Code.RESOURCE_EXHAUSTED, TOO_MUCH_HELD));
    return false;
  }

  /** Bytes of messages that were not handed on yet. */
  protected get pending(): number {
    return this.#deframer?.pending ?? 0;
  }

  /** Whether the request's bytes so far end between messages. */
  protected get requestComplete(): boolean {
    return this.#deframer?.complete ?? true;
  }

  /**
   * Ends the call if its deadline has passed. The timer does so at a whole millisecond, and until then work would be
   * done that nobody waits for, even a write.
   */
  protected isOver(): boolean {
    if (this.#timer === undefined || performance.now() < this.deadline) return false;
    expire(this);
    return true;
  }

  /** Ends the call from this side and abandons the work on it. */
  breakOff(error: RpcError): void {
    if (this.ended) return;
    this.#cancel();
    this.sendStatus(error);
  }

  /** Sends the final status, after whatever was sent before. */
  protected sendStatus(status: Status): void {
    if (this.ended) return;
    this.finish(status.code);
    if (!this.headersSent && this.responseHeaders === NO_METADATA) {
      this.#sendTrailersOnly(status);
      return;
    }
    if (!this.headersSent) this.writeHeaders();
    this.stream.sendTrailers(this.#trailers(status));
  }

  protected writeHeaders(): void {
    this.headersSent = true;
    this.stream.sendHeaders(this.headersBlock());
  }

  protected headersBlock(): Uint8Array {
    const own = this.responseHeaders;
    const { responseBlock, responseFields } = this.#head;
    return own === NO_METADATA ? responseBlock : encodeHeaders(responseFields.concat(own.fields));
  }

  /** Marks the call as over and accounts for it, before its last frame is sent: that frame closes the stream. */
  protected finish(code: number): void {
    this.ended = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.work = undefined;
    this.#deframer?.stop();
    this.options.observer.onHandled(this, code);
  }

  #sendTrailersOnly(status: Status): void {
    const fields = this.#head.responseFields.concat(statusFields(status, this.responseTrailers));
    this.stream.sendHeaders(encodeHeaders(fields), true);
  }

  #trailers(status: Status): Uint8Array {
    if (status === OK && this.responseTrailers === NO_METADATA) return OK_TRAILERS_BLOCK;
    return encodeHeaders(statusFields(status, this.responseTrailers));
  }

  #cancel(): void {
    this.cancelled = true;
    const work = this.work;
    this.work = undefined;
    work?.cancel();
    this.abandoned();
  }
}

function expire(call: ServerCall): void {
  call.breakOff(RpcError.deadlineExceeded());
}

/** Refuses a request before there is a call. */
export function refuse(stream: Http2Stream, { responseFields }: RequestHead, refusal: Refusal): void {
  const { httpStatus, error, encoding } = refusal;
  const fields = [':status', httpStatus, ...responseFields.slice(2)];
  if (httpStatus === '405') fields.push('allow', 'POST');
  if (encoding) fields.push('grpc-accept-encoding', 'identity,gzip');
  stream.listener = IGNORING;
  stream.sendHeaders(encodeHeaders(fields.concat(statusFields(error, NO_METADATA))), true);
}
