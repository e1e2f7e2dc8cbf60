/**
 * Whatever order streams are paused, resumed, reset and ended in, the connection's window comes back to the peer: at rest all
 * of it but what is given back in halves is there, and nothing is counted as kept that is not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ErrorCode, type Http2Stream } from '../../src/http2/index.ts';
import { LONG } from '../support/releases.ts';
import { Exchange } from './support/exchange.ts';
import { OK, POST, TRAILERS } from './support/play.ts';
import * as raw from './support/raw-peer.ts';
import { type Scene, scene } from './support/scripted-server.ts';

const { ACK, END_HEADERS, END_STREAM, frame, PADDED, u32 } = raw;
const KIB = 1024;
const SIZES = { connectionWindowSize: 128 * KIB, initialWindowSize: 64 * KIB, maxHeldBytes: 40 * KIB };
/** Padding and its length. */
const PADDING = 100;

/** Pauses at every so many-th piece, while it is told of that. */
class Moody extends Exchange {
  readonly #every: number;
  #pieces = 0;
  constructor(every: number) {
    super();
    this.#every = every;
  }
  override onData(stream: Http2Stream, chunk: Buffer): void {
    super.onData(stream, chunk);
    if (++this.#pieces % this.#every === 0) stream.pause();
  }
}

/** The server's view of the windows of one connection. */
class Server {
  readonly open = new Map<number, Http2Stream>();
  readonly #scene: Scene;
  #connection = SIZES.connectionWindowSize;
  readonly #windows = new Map<number, number>();
  #seen: number;

  /** Begins when the connection's first frames are there. */
  constructor(at: Scene) {
    this.#scene = at;
    this.#seen = at.peer.frames.length;
  }

  /** What it may still send on the connection. */
  get window(): number {
    return this.#connection;
  }

  begin(stream: Http2Stream): void {
    this.open.set(stream.id, stream);
    this.#windows.set(stream.id, SIZES.initialWindowSize);
    this.#scene.peer.send(frame('HEADERS', END_HEADERS, stream.id, OK));
  }

  /** Sends so many octets of content, or what the windows let through. */
  data(id: number, wanted: number, padded: boolean, ends: boolean): void {
    const extra = padded ? PADDING + 1 : 0;
    const length = Math.min(wanted, this.#connection - extra, (this.#windows.get(id) ?? 0) - extra);
    if (length < 0) return;
    const content = Buffer.alloc(length);
    const payload = padded ? Buffer.concat([Buffer.of(PADDING), content, Buffer.alloc(PADDING)]) : content;
    const flags = (padded ? PADDED : 0) | (ends ? END_STREAM : 0);
    this.#scene.peer.send(frame('DATA', flags, id, payload));
    this.#connection -= payload.length;
    this.#windows.set(id, (this.#windows.get(id) ?? 0) - payload.length);
    if (ends) this.open.delete(id);
  }

  end(id: number, reset: boolean): void {
    this.#scene.peer.send(
      reset
        ? frame('RST_STREAM', 0, id, u32(ErrorCode.CANCEL))
        : frame('HEADERS', END_HEADERS | END_STREAM, id, TRAILERS),
    );
    this.open.delete(id);
  }

  /** Everything was handled, and what came of it at the end of a turn; takes the windows that were given. */
  async rest(): Promise<void> {
    for (let i = 0; i < 2; i++) assert.ok(await this.#scene.peer.settled());
    const { frames } = this.#scene.peer;
    for (; this.#seen < frames.length; this.#seen++) {
      const { type, id, payload } = frames[this.#seen] as raw.Frame;
      if (type === 'RST_STREAM') this.open.delete(id);
      if (type !== 'WINDOW_UPDATE') continue;
      const octets = payload.readUInt32BE(0);
      if (id === 0) this.#connection += octets;
      else this.#windows.set(id, (this.#windows.get(id) ?? 0) + octets);
    }
  }
}

/** What is done next, and to which stream; a size. */
interface Step {
  readonly what:
    | 'begin'
    | 'data'
    | 'padded'
    | 'last'
    | 'pause'
    | 'resume'
    | 'cancel'
    | 'reset'
    | 'trailers'
    | 'rest';
  readonly which: number;
  readonly size: number;
}

const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom(
      ...(['begin', 'data', 'data', 'data', 'data', 'padded', 'last', 'pause', 'pause'] as const),
      ...(['resume', 'cancel', 'reset', 'trailers', 'rest'] as const),
    ),
    which: fc.nat(5),
    size: fc.oneof(fc.nat(300), fc.nat(15 * KIB)),
  }),
  { maxLength: 160, size: 'max' },
);

/** The connection of one order of things. */
class Play {
  readonly #at: Scene;
  readonly #server: Server;
  readonly #streams: Http2Stream[] = [];

  constructor(at: Scene) {
    this.#at = at;
    this.#server = new Server(at);
  }

  async do({ what, which, size }: Step): Promise<void> {
    const server = this.#server;
    if (what === 'rest') await this.#check();
    if (what === 'begin') this.#streams.push(await this.#begin(new Moody(1 + (size % 5))));
    // The latest ones: the others are over, or stay as they are.
    const stream = this.#streams.at(-1 - which);
    if (stream === undefined) return;
    if (what === 'pause') stream.pause();
    if (what === 'resume') stream.resume();
    if (what === 'cancel') stream.reset(ErrorCode.CANCEL);
    if (!server.open.has(stream.id)) return;
    if (what === 'data' || what === 'padded' || what === 'last')
      server.data(stream.id, size, what === 'padded', what === 'last');
    if (what === 'reset' || what === 'trailers') server.end(stream.id, what === 'reset');
  }

  async end(): Promise<void> {
    await this.#check();
    // Who reads gets several times the window, whatever the others do.
    const reader = new Exchange();
    const { id } = await this.#begin(reader);
    for (let i = 0; i < 32; i++) {
      this.#server.data(id, 16 * KIB, false, false);
      await this.#server.rest();
    }
    assert.equal(reader.bytes, 512 * KIB);
    for (const stream of this.#streams) stream.reset(ErrorCode.CANCEL);
    await this.#check();
    assert.equal(this.#at.connection.receiver.held, 0);
  }

  async #begin(listener: Exchange): Promise<Http2Stream> {
    const stream = this.#at.connection.request(POST, listener, true);
    await this.#at.peer.nextOf('HEADERS', stream.id);
    this.#server.begin(stream);
    return stream;
  }

  async #check(): Promise<void> {
    await this.#server.rest();
    const { held } = this.#at.connection.receiver;
    assert.ok(held >= 0 && held <= SIZES.maxHeldBytes, `${held} octets are kept`);
    const { window } = this.#server;
    assert.ok(window <= SIZES.connectionWindowSize, `a window of ${window}`);
    assert.ok(window > SIZES.connectionWindowSize / 2, `${window} of the window are left, ${held} kept`);
  }
}

test('the window of a connection comes back in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      await using at = await scene(SIZES);
      at.peer.send(frame('SETTINGS', ACK, 0));
      await at.peer.nextOf('WINDOW_UPDATE', 0);
      assert.ok(await at.peer.settled());
      const play = new Play(at);
      for (const step of all) await play.do(step);
      await play.end();
    }),
    { numRuns: LONG ? 1000 : 20 },
  );
});
