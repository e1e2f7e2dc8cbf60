/** Listens in on a connection of a gRPC client in plaintext: which calls it makes, and the messages either way. */
import { Deframer } from '../../src/grpc/envelope.ts';
import { FrameFlag, FrameType } from '../../src/http2/frame.ts';
import { FrameReader, type FrameSink } from '../../src/http2/frame-reader.ts';
import { HpackDecoder } from '../../src/http2/hpack/decoder.ts';
import type { WireTap } from './relay.ts';

/** Hears of one call. */
export interface CallListener {
  request(message: Uint8Array): void;
  reply(message: Uint8Array): void;
  /** The call is over, or its connection. */
  ended(): void;
}

/** The largest frame and header list of any peer here. */
const LARGE = 1 << 24;
const NO_LIMIT = { maxBytes: Number.MAX_SAFE_INTEGER, tooLarge: () => 'too large' };

/** One call: both directions, cut into messages. */
class TappedCall {
  readonly listener: CallListener;
  readonly #requests = new Deframer(NO_LIMIT, undefined);
  readonly #replies = new Deframer(NO_LIMIT, undefined);

  constructor(listener: CallListener) {
    this.listener = listener;
  }

  data(fromServer: boolean, bytes: Buffer): void {
    const { listener } = this;
    const onMessage = (message: Uint8Array): void =>
      fromServer ? listener.reply(message) : listener.request(message);
    // Nothing is compressed where no encoding is known.
    const sink = { onMessage, onUnpacking: () => this, onUnpacked: () => {} };
    const error = (fromServer ? this.#replies : this.#requests).push(bytes, sink);
    if (error !== undefined) throw error;
  }
}

/** One direction of the connection. */
class Direction implements FrameSink {
  readonly stopped = false;
  readonly reader: FrameReader;
  readonly #frame: FrameSink['frame'];

  constructor(fromServer: boolean, frame: FrameSink['frame']) {
    this.reader = new FrameReader(this, LARGE, !fromServer);
    this.#frame = frame;
  }

  frame(type: number, flags: number, id: number, source: Buffer, start: number, end: number): void {
    this.#frame(type, flags, id, source, start, end);
  }
}

export class GrpcTap implements WireTap {
  readonly #listen: (path: string) => CallListener | undefined;
  readonly #calls = new Map<number, TappedCall>();
  readonly #hpack = new HpackDecoder(LARGE, LARGE);
  readonly #client = new Direction(false, (...frame) => this.#frame(false, ...frame));
  readonly #server = new Direction(true, (...frame) => this.#frame(true, ...frame));

  /** @param listen says who hears of a call of this path, if anybody */
  constructor(listen: (path: string) => CallListener | undefined) {
    this.#listen = listen;
  }

  fromClient(bytes: Buffer): void {
    this.#client.reader.feed(bytes);
  }

  fromServer(bytes: Buffer): void {
    this.#server.reader.feed(bytes);
  }

  closed(): void {
    for (const id of [...this.#calls.keys()]) this.#ended(id);
  }

  /** The clients here send whole header blocks, without padding or priority. */
  #frame(
    fromServer: boolean,
    type: number,
    flags: number,
    id: number,
    source: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === FrameType.HEADERS && !fromServer) this.#begun(id, source, start, end);
    else if (type === FrameType.DATA) this.#calls.get(id)?.data(fromServer, source.subarray(start, end));
    const last =
      (type === FrameType.HEADERS || type === FrameType.DATA) && (flags & FrameFlag.END_STREAM) !== 0;
    if (type === FrameType.RST_STREAM || (fromServer && last)) this.#ended(id);
  }

  #begun(id: number, source: Buffer, start: number, end: number): void {
    const { list } = this.#hpack.decode(source, start, end);
    const listener = this.#listen(list[list.indexOf(':path') + 1] ?? '');
    if (listener !== undefined) this.#calls.set(id, new TappedCall(listener));
  }

  #ended(id: number): void {
    this.#calls.get(id)?.listener.ended();
    this.#calls.delete(id);
  }
}
