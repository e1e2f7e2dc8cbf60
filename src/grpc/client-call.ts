/**
 * One gRPC call on an HTTP/2 connection, seen from the client: sends messages, collects the answer, and says how
 * it ended and whether the server can have seen it. It does not retry: that takes knowledge of other endpoints.
 */
import {
  ErrorCode,
  type HeaderList,
  type Http2Connection,
  type Http2Stream,
  type StreamListener,
} from '../http2/index.ts';
import type { PartSink } from '../rpc/contract.ts';
import { fieldValue, type Metadata, NO_METADATA, responseMetadata } from '../rpc/metadata.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import { Deframer, envelopeHead, type MessageSink, type ReceiveLimits, smallEnvelope } from './envelope.ts';
import { codeOfReset, readStatus, statusOfHttp } from './fields.ts';
import { type PartTaker, PartTurns } from './part-turns.ts';

/** How a call ended. */
export interface Ending {
  readonly status: Status;
  readonly trailers: Metadata;
  /** The server answered with a status of its own, as opposed to the connection or stream breaking. */
  readonly answered: boolean;
  /** The server certainly did not process the call. */
  readonly unprocessed: boolean;
}

/** Hears the answer. Nothing follows `onEnding`. */
export interface ClientCallListener {
  /** Takes messages that are long, in parts. */
  readonly parts?: PartSink | undefined;
  onHeaders(metadata: Metadata): void;
  onMessage(message: Uint8Array): void;
  onDrain(): void;
  onEnding(ending: Ending): void;
}

/** A call in progress. */
export class ClientCall implements StreamListener, MessageSink, PartSink, PartTaker {
  #listener: ClientCallListener;
  readonly #stream: Http2Stream;
  readonly #receive: ReceiveLimits;
  readonly #deadline: number;
  readonly #peer: string;
  #deframer: Deframer | undefined;
  #encoding: string | undefined;
  #ended = false;
  /** This side has ended; otherwise the stream stays open after the server's end. */
  #sentEnd = false;
  #headersSeen = false;
  /** Why nothing of the answer is read now: the caller wants a pause, a message is being unpacked, or this turn had enough. */
  #paused = false;
  #unpacking = false;
  #hasEnough = false;
  /** The trailers, where they came while a message is being unpacked. */
  #lastFields: HeaderList | undefined;

  /**
   * Opens the call.
   * @param block encoded request headers
   * @param deadline when the call is over, in milliseconds of `performance.now()`; the server enforces it too
   * @param peer the server's name for error texts
   */
  constructor(
    connection: Http2Connection,
    block: Uint8Array,
    listener: ClientCallListener,
    receive: ReceiveLimits,
    deadline: number,
    peer: string,
  ) {
    this.#listener = listener;
    this.#receive = receive;
    this.#deadline = deadline;
    this.#peer = peer;
    this.#stream = connection.request(block, this, false);
  }

  /** Sends a message, the last one with `end`. `false`: wait for `onDrain`. */
  send(message: Uint8Array, end: boolean): boolean {
    if (this.#ended) return true;
    this.#sentEnd = end;
    const envelope = smallEnvelope(message);
    if (envelope) return this.#stream.sendData(envelope, end);
    return this.#stream.sendParts(envelopeHead(message.length), message, end);
  }

  halfClose(): void {
    if (this.#ended) return;
    this.#sentEnd = true;
    this.#stream.sendData(EMPTY, true);
  }

  /** Another listener hears the answer from now on. */
  handOver(listener: ClientCallListener): void {
    this.#listener = listener;
  }

  /** Abandons the call; no further events. */
  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deframer?.stop();
    this.#stream.reset(ErrorCode.CANCEL);
  }

  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#goOn();
  }

  /** Reads, if nothing speaks against it. */
  #goOn(): void {
    if (!this.#paused && !this.#unpacking && !this.#hasEnough) this.#stream.resume();
  }

  onUnpacking(): object {
    this.#unpacking = true;
    this.#stream.pause();
    return this.#stream.connection;
  }

  onUnpacked(error: RpcError | undefined): void {
    this.#unpacking = false;
    if (this.#ended) return;
    if (error) {
      this.#end(error, []);
      this.#stream.reset(ErrorCode.CANCEL);
    } else if (this.#lastFields !== undefined) this.onTrailers(this.#stream, this.#lastFields);
    else this.#goOn();
  }

  onHeaders(stream: Http2Stream, fields: HeaderList, endStream: boolean): void {
    if (this.#ended) return;
    const httpStatus = fieldValue(fields, ':status');
    if (endStream) {
      this.#end(readStatus(fields) ?? statusOfHttp(httpStatus), fields);
      return;
    }
    if (httpStatus !== '200') {
      this.#end(statusOfHttp(httpStatus), fields);
      stream.reset(ErrorCode.CANCEL);
      return;
    }
    this.#headersSeen = true;
    this.#encoding = fieldValue(fields, 'grpc-encoding');
    this.#listener.onHeaders(plainHeaders.has(fields) ? NO_METADATA : this.#ownHeaders(fields));
  }

  onData(stream: Http2Stream, chunk: Buffer): void {
    if (this.#ended) return;
    this.#deframer ??= new Deframer(this.#receive, this.#encoding);
    const error = this.#deframer.push(chunk, this);
    if (!error || this.#ended) return;
    this.#end(error, []);
    stream.reset(ErrorCode.CANCEL);
  }

  onMessage(message: Uint8Array): void {
    if (!this.#ended) this.#listener.onMessage(message);
  }

  get parts(): PartSink | undefined {
    return this.#listener.parts && this;
  }

  onPart(part: Buffer, left: number): void {
    if (this.#ended) return;
    if (!this.#hasEnough && partTurns.take(part.length, this)) {
      this.#hasEnough = true;
      this.#stream.pause();
    }
    this.#listener.parts?.onPart(part, left);
  }

  onPartTurn(): void {
    this.#hasEnough = false;
    if (!this.#ended) this.#goOn();
  }

  onTrailers(_stream: Http2Stream, fields: HeaderList): void {
    if (this.#unpacking) {
      this.#lastFields = fields;
      return;
    }
    const status =
      readStatus(fields) ?? new RpcError(Code.INTERNAL, 'grpc: the answer ended without a status');
    this.#end(status, fields);
  }

  onEnd(): void {
    if (!this.#headersSeen || this.#unpacking) return;
    this.#end(new RpcError(Code.INTERNAL, 'grpc: the answer ended without trailers'), []);
  }

  onDrain(): void {
    if (!this.#ended) this.#listener.onDrain();
  }

  onClose(stream: Http2Stream, code: number): void {
    if (this.#ended || this.#lastFields !== undefined) return;
    this.#ended = true;
    const status = this.#breakage(stream, code);
    this.#listener.onEnding({
      status,
      trailers: NO_METADATA,
      answered: false,
      unprocessed: stream.unprocessed,
    });
  }

  #breakage(stream: Http2Stream, code: number): RpcError {
    // Its client can go on where it is, as after any end of a stream under way.
    if (stream.tooSlow) return new RpcError(Code.UNAVAILABLE, TOO_SLOW);
    return stream.connection.closed ? this.#lost() : this.#reset(code);
  }

  #lost(): RpcError {
    return new RpcError(Code.UNAVAILABLE, `connection to etcd (${this.#peer}) lost before the answer`);
  }

  #reset(code: number): RpcError {
    // Servers end a call at its deadline by a reset with CANCEL, without a status.
    if (code === ErrorCode.CANCEL && performance.now() >= this.#deadline - DEADLINE_SLACK_MS) {
      return RpcError.deadlineExceeded();
    }
    const message = `etcd (${this.#peer}) reset the stream with HTTP/2 error code ${code}`;
    return new RpcError(codeOfReset(code), message);
  }

  #ownHeaders(fields: HeaderList): Metadata {
    const own = responseMetadata(fields);
    if (own === NO_METADATA) plainHeaders.add(fields);
    return own;
  }

  #end(status: Status, fields: HeaderList): void {
    if (this.#ended) return;
    this.#ended = true;
    const trailers = plainHeaders.has(fields) ? NO_METADATA : this.#ownHeaders(fields);
    if (!this.#sentEnd || this.#stream.queuedBytes > 0) this.#stream.reset(ErrorCode.NO_ERROR);
    this.#listener.onEnding({ status, trailers, answered: true, unprocessed: false });
  }
}

/** Of all calls. */
const partTurns = new PartTurns();

/** Blocks of fields known to hold nothing for the client. The engine gives equal blocks as the same list. */
const plainHeaders = new WeakSet<HeaderList>();

const EMPTY = Buffer.alloc(0);

const TOO_SLOW = 'the client does not keep up, and too much waits for slow clients';

/** How much earlier than ours a server's clock may see the deadline. Milliseconds. */
const DEADLINE_SLACK_MS = 100;
