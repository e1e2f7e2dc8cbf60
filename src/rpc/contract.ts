/**
 * The contracts between doors (client protocols), services (what the proxy does with an RPC) and the upstream
 * (etcd). Messages are encoded protobuf bytes throughout: nothing is decoded that nobody needs to look into.
 */
import type { Client } from './client.ts';
import type { Metadata } from './metadata.ts';
import type { Method } from './method.ts';
import type { Status } from './status.ts';

/** Work in progress that can be abandoned when nobody waits for it any more. */
export interface Cancellable {
  cancel(): void;
}

/** Waits until its client's connection takes replies. */
export interface RoomWaiter {
  onRoom(): void;
}

/** The way of replies to a client: its connection, which others of its calls share. */
export interface Outlet {
  /** Whether little waits there; otherwise a large reply that is made now would only fill the memory. */
  readonly room: boolean;
  /** Calls the waiter once when there is room, each in its turn; never at once. */
  wait(waiter: RoomWaiter): void;
  /** The waiter waits no longer. */
  leave(waiter: RoomWaiter): void;
}

/** Smaller replies are made and sent at once, whether or not their client's connection has room. Bytes. */
export const LARGE_REPLY_BYTES = 16 << 10;

/** One client call on its way through the proxy. Doors make it; services and the upstream read it. */
export interface Call {
  readonly method: Method;
  /** Where it comes from. */
  readonly client: Client;
  /** What it was sent to, as the client says: `:authority`, or `Host` in HTTP/1.1; empty where it says nothing. */
  readonly authority: string;
  /** What the client sent and etcd shall see. */
  readonly metadata: Metadata;
  /** When the client gives up, in milliseconds of `performance.now()`; `Infinity` without a deadline. */
  readonly deadline: number;
  /** Whether the client is gone or its deadline has passed: nobody reads the answer any more. */
  readonly cancelled: boolean;
  /** Where its reply goes. */
  readonly outlet: Outlet;
  /** The work to cancel when the call is cancelled. One slot: the part that works on the call sets and clears it. */
  work: Cancellable | undefined;
  /** Metadata of etcd's answer for the client; set before the answer by whoever has it. */
  responseHeaders: Metadata;
  /** Trailing metadata of etcd's answer, set before the call ends, also with an error. */
  responseTrailers: Metadata;
}

/**
 * Answers a unary call: encoded request in, encoded response out; synchronously when the answer is at hand. Neither is
 * changed by anybody afterwards. Sets `call.responseHeaders` and `call.responseTrailers` where there are any.
 * @throws RpcError (or rejects with one) with the status for the client
 */
export type UnaryHandler = (request: Uint8Array, call: Call) => Uint8Array | Promise<Uint8Array>;

/** Serves any streaming RPC. Sets `client.listener` before it returns. */
export type StreamHandler = (client: ServerStream, call: Call) => void;

/** The client's side of a streaming call as a service sees it. */
export interface ServerStream {
  listener: ServerStreamListener;
  /** Sends the response headers now; otherwise they leave with the first message. */
  sendHeaders(): void;
  /** Sends one message, not copied. `false`: send no more until `onDrain`. */
  send(message: Uint8Array): boolean;
  /**
   * Sends one message given in two parts, for messages that differ between clients in their beginning only. Neither
   * part is copied by the caller or changed later.
   */
  sendJoined(head: Uint8Array, tail: Uint8Array): boolean;
  /** Ends the call; later sends are ignored. `call.responseTrailers` go with it. */
  end(status: Status): void;
  /**
   * Counts bytes of the client's messages that stay in memory beyond `onMessage`, until the call ends; negative: they no
   * longer do.
   */
  hold(bytes: number): void;
  /** Stops reading the client: its flow-control window is not given back. */
  pause(): void;
  resume(): void;
}

/** What a service hears from the client of a streaming call. Nothing follows `onCancel`. */
export interface ServerStreamListener {
  onMessage(message: Uint8Array): void;
  /** The client sends no more messages; it still reads. */
  onHalfClose(): void;
  /** The client reads again after `send` returned `false`. */
  onDrain(): void;
  /** The client is gone, its deadline passed, or it broke the protocol. */
  onCancel(): void;
}

/** Bytes of messages that a call to etcd may keep, while etcd has answered nothing, beside those that wait. */
export const UNANSWERED_BYTES = 65_536;

/** A streaming call to etcd. `cancel` abandons it: no further events. */
export interface ClientStream extends Cancellable {
  /** Sends one message, not copied. `false`: something waits, send no more until `onDrain`. */
  send(message: Uint8Array): boolean;
  halfClose(): void;
  pause(): void;
  resume(): void;
}

/** Takes long messages in parts, as they come. */
export interface PartSink {
  /** @param left how many bytes of the message are still to come */
  onPart(part: Buffer, left: number): void;
}

/** Keeps the messages of a stream that have no answer yet, where each has one of its own. */
export interface Keeper {
  /** These messages, the first one first, each time that the stream begins on a connection: they are sent there. */
  unanswered(): readonly Uint8Array[];
}

/** What the caller of a streaming call hears from etcd. Nothing follows `onEnd`. */
export interface ClientStreamListener {
  /** Takes messages that are long; without it they come whole, like all others. */
  readonly parts?: PartSink | undefined;
  /** Keeps what has no answer, in place of the stream. */
  readonly keeper?: Keeper | undefined;
  onHeaders(metadata: Metadata): void;
  onMessage(message: Uint8Array): void;
  onDrain(): void;
  onEnd(status: Status, trailers: Metadata): void;
}

/** Whatever answers unary calls: the cluster client, and each layer above it that answers some of them itself. */
export interface UnaryUpstream {
  readonly unary: UnaryHandler;
}

/** Whatever answers etcd's API on bytes. */
export interface Upstream extends UnaryUpstream {
  /** Opens a streaming call. The listener is never called before this returns. */
  stream(call: Call, listener: ClientStreamListener): ClientStream;
}

/** What is done with each method: a known one by its path, everything else as a stream of bytes. */
export interface Services {
  /** The method at a path, known or not. */
  method(path: string): Method;
  /** Its handler, if it is known and unary. */
  unary(path: string): UnaryHandler | undefined;
  /** Its handler, if it is anything else. */
  stream(path: string): StreamHandler;
}
