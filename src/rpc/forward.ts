/**
 * Passes a call to etcd as it is and the answer back, one to one. A side that cannot take more stops the other
 * from being read, so memory stays flat however slow a client is.
 */
import {
  type Call,
  type ClientStream,
  type ClientStreamListener,
  type ServerStream,
  type ServerStreamListener,
  type StreamHandler,
  UNANSWERED_BYTES,
  type UnaryHandler,
  type UnaryUpstream,
  type Upstream,
} from './contract.ts';
import { type Metadata, NO_METADATA } from './metadata.ts';
import type { Status } from './status.ts';

/** A handler that forwards unary calls. */
export function forwardUnary(upstream: UnaryUpstream): UnaryHandler {
  return (request, call) => upstream.unary(request, call);
}

/** Forwards a unary call and gives the answer later in any case, also one that is at hand or thrown. */
export function forwardLater(upstream: UnaryUpstream, request: Uint8Array, call: Call): Promise<Uint8Array> {
  try {
    return Promise.resolve(upstream.unary(request, call));
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A handler that forwards streaming calls message by message. */
export function forwardStream(upstream: Upstream): StreamHandler {
  return (client, call) => {
    const held = new Held(client);
    const answers = new EtcdToClient(client, call, held);
    const etcd = upstream.stream(call, answers);
    answers.etcd = etcd;
    client.listener = new ClientToEtcd(client, etcd, held);
  };
}

/** The client's messages that are still in memory: those that wait for etcd, and what a second try would need. */
class Held {
  readonly #client: ServerStream;
  #bytes = 0;
  #waits = false;
  #answered = false;

  constructor(client: ServerStream) {
    this.#client = client;
  }

  /** A message was sent; etcd's side asks to wait unless there is `room`. */
  onSent(bytes: number, room: boolean): void {
    if (room && this.#answered && !this.#waits) return;
    this.#bytes += bytes;
    this.#client.hold(bytes);
    this.#waits ||= !room;
    this.#letGo();
  }

  /** Nothing waits any more. */
  onDrained(): void {
    this.#waits = false;
    this.#letGo();
  }

  /** etcd has answered something. */
  onAnswered(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#letGo();
  }

  #letGo(): void {
    if (this.#waits || this.#bytes === 0) return;
    if (!this.#answered && this.#bytes <= UNANSWERED_BYTES) return;
    this.#client.hold(-this.#bytes);
    this.#bytes = 0;
  }
}

/** What the client says goes to etcd. */
class ClientToEtcd implements ServerStreamListener {
  readonly #client: ServerStream;
  readonly #etcd: ClientStream;
  readonly #held: Held;

  constructor(client: ServerStream, etcd: ClientStream, held: Held) {
    this.#client = client;
    this.#etcd = etcd;
    this.#held = held;
  }

  onMessage(message: Uint8Array): void {
    const room = this.#etcd.send(message);
    this.#held.onSent(message.length, room);
    if (!room) this.#client.pause();
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
  readonly #held: Held;
  /** Set as soon as the stream is open, before its first event. */
  etcd: ClientStream | undefined;

  constructor(client: ServerStream, call: Call, held: Held) {
    this.#client = client;
    this.#call = call;
    this.#held = held;
  }

  onHeaders(metadata: Metadata): void {
    this.#call.responseHeaders = metadata;
    this.#client.sendHeaders();
  }

  onMessage(message: Uint8Array): void {
    this.#held.onAnswered();
    if (!this.#client.send(message)) this.etcd?.pause();
  }

  onDrain(): void {
    this.#held.onDrained();
    this.#client.resume();
  }

  onEnd(status: Status, trailers: Metadata): void {
    if (trailers !== NO_METADATA) this.#call.responseTrailers = trailers;
    this.#client.end(status);
  }
}
