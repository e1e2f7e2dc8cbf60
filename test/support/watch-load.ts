/**
 * Very many watchers at little cost: streams on the proxy's own HTTP/2 engine, responses counted and not decoded. For
 * the correctness of what arrives there are other tests; this one says how much arrived, and when.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { ClientCall, type ClientCallListener, type Ending } from '../../src/grpc/client-call.ts';
import { encodeHeaders, Http2Connection } from '../../src/http2/index.ts';
import type { Create } from './watch-client.ts';

const receive = { maxBytes: 2 ** 31 - 1, tooLarge: () => 'too large' };
const ignore = (): void => {};

/** A connection that streams can be opened on. */
export class LoadConnection implements Disposable {
  readonly #connection: Http2Connection;
  readonly #socket: Socket;
  readonly #address: string;
  private constructor(connection: Http2Connection, socket: Socket, address: string) {
    this.#socket = socket;
    this.#connection = connection;
    this.#address = address;
  }

  static async open(address: string): Promise<LoadConnection> {
    const [host, port] = address.split(':') as [string, string];
    const socket: Socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    const ready = Promise.withResolvers<void>();
    const connection = new Http2Connection(socket, 'client', {
      onStream: ignore,
      onReady: () => ready.resolve(),
      onGoaway: ignore,
      onStreamSlots: ignore,
      onClose: (_, error) => ready.reject(error ?? new Error('closed')),
      onLimit: ignore,
      onFailure: (_, failure) => {
        throw failure;
      },
    });
    await ready.promise;
    return new LoadConnection(connection, socket, address);
  }

  /** Opens a call, a watch unless told otherwise. */
  call(listener: ClientCallListener, path = '/etcdserverpb.Watch/Watch'): ClientCall {
    return new ClientCall(
      this.#connection,
      encodeHeaders([
        ...[':method', 'POST', ':scheme', 'http', ':path', path, ':authority', this.#address],
        ...['te', 'trailers', 'content-type', 'application/grpc'],
      ]),
      listener,
      receive,
      Number.POSITIVE_INFINITY,
      this.#address,
    );
  }

  /** Reads nothing more from the network, as a process that is held still. */
  hold(): void {
    this.#socket.pause();
  }

  release(): void {
    this.#socket.resume();
  }

  [Symbol.dispose](): void {
    this.#connection.destroy();
  }
}

/** Counts of all streams of a load. */
export class LoadCounts {
  created = 0;
  events = 0;
  canceled = 0;
  ended = 0;
  #waiting: { holds: () => boolean; resolve: () => void }[] = [];

  /** Waits until something about the counts holds. */
  async reach(holds: () => boolean, limitMs = 60_000): Promise<void> {
    if (holds()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => reject(new Error(`not within ${limitMs} ms: ${JSON.stringify(this)}`)),
      limitMs,
    );
    this.#waiting.push({ holds, resolve });
    await promise;
    clearTimeout(timer);
  }

  /** Something was counted. */
  changed(): void {
    if (this.#waiting.length === 0) return;
    const ready = this.#waiting.filter(({ holds }) => holds());
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }
}

/** One stream with its watches. */
export class LoadStream implements ClientCallListener {
  /** Events that this stream has got. */
  events = 0;
  /** The highest revision in a header. */
  revision = 0;
  ending: Ending | undefined;
  readonly #counts: LoadCounts;
  readonly #call: ClientCall;

  constructor(connection: LoadConnection, counts: LoadCounts, watches: readonly Create[]) {
    this.#counts = counts;
    this.#call = connection.call(this);
    for (const watch of watches) this.watch(watch);
  }

  watch(value: Create): void {
    const request = create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value } });
    this.#call.send(toBinary(WatchRequestSchema, request), false);
  }

  /** Ends one watch of the stream. */
  unwatch(watchId: bigint): void {
    const request = create(WatchRequestSchema, {
      requestUnion: { case: 'cancelRequest', value: { watchId } },
    });
    this.#call.send(toBinary(WatchRequestSchema, request), false);
  }

  /** Ends the stream. */
  cancel(): void {
    this.#call.cancel();
  }

  onHeaders(): void {
    // The messages matter.
  }

  onMessage(message: Uint8Array): void {
    const counts = this.#counts;
    const { created, canceled, events, revision } = glance(message);
    if (created) counts.created++;
    if (canceled) counts.canceled++;
    counts.events += events;
    this.events += events;
    this.revision = Math.max(this.revision, revision);
    counts.changed();
  }

  onDrain(): void {
    // Requests are small.
  }

  onEnding(ending: Ending): void {
    this.ending = ending;
    this.#counts.ended++;
    this.#counts.changed();
  }
}

/** The little that is counted of a response. */
function glance(bytes: Uint8Array): {
  created: boolean;
  canceled: boolean;
  events: number;
  revision: number;
} {
  const seen = { created: false, canceled: false, events: 0, revision: 0 };
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if ((tag & 7) !== 2) {
      const value = varint();
      if (tag === 0x18) seen.created = value !== 0;
      else if (tag === 0x20) seen.canceled = value !== 0;
      continue;
    }
    const length = varint();
    const end = at + length;
    if (tag === 0x5a) seen.events++;
    else if (tag === 0x0a) {
      while (at < end) {
        const field = varint();
        const value = varint();
        if (field === 0x18) seen.revision = value;
      }
    }
    at = end;
  }
  return seen;
}
