/**
 * Random bytes and random frames into a connection of either role. Whatever comes: no exception leaves
 * the connection, every stream is closed exactly once, and nothing is left in the tables. FUZZ_RUNS sets
 * the number of inputs, 1 000 000 is meant for the night.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Http2Connection, type Http2Stream, type Role } from '../../src/http2/index.ts';
import { Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { OK, POST, TRAILERS } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const numRuns = Number(process.env.FUZZ_RUNS ?? 1500);

const id = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(0x7fffffff), fc.nat(0xffffffff));
const bytes = fc.uint8Array({ maxLength: 40 });
const flags = fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x25), fc.nat(255));
const u32 = fc.oneof(fc.nat(100), fc.nat(0xffffffff)).map(raw.u32);

const piece = fc.oneof(
  { weight: 1, arbitrary: bytes.map((b) => Buffer.from(b)) },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat(11), flags, id, bytes).map(([t, f, i, b]) => raw.frame(t, f, i, b)),
  },
  { weight: 4, arbitrary: fc.tuple(flags, id).map(([f, i]) => raw.frame('HEADERS', f | 4, i, POST)) },
  { weight: 3, arbitrary: fc.tuple(flags, id).map(([f, i]) => raw.frame('HEADERS', f | 4, i, OK)) },
  { weight: 2, arbitrary: fc.tuple(flags, id).map(([f, i]) => raw.frame('HEADERS', f, i, TRAILERS)) },
  { weight: 3, arbitrary: fc.tuple(flags, id, bytes).map(([f, i, b]) => raw.frame('DATA', f & 9, i, b)) },
  { weight: 2, arbitrary: fc.tuple(id, u32).map(([i, n]) => raw.frame('WINDOW_UPDATE', 0, i, n)) },
  { weight: 2, arbitrary: fc.tuple(id, u32).map(([i, n]) => raw.frame('RST_STREAM', 0, i, n)) },
  { weight: 2, arbitrary: fc.tuple(fc.nat(7), u32).map(([i, n]) => raw.settings([i, n.readUInt32BE(0)])) },
  { weight: 1, arbitrary: fc.constant(raw.frame('PING', 0, 0, Buffer.alloc(8))) },
  {
    weight: 1,
    arbitrary: fc.tuple(u32, u32).map(([a, b]) => raw.frame('GOAWAY', 0, 0, Buffer.concat([a, b]))),
  },
);

// A session that is right, but for a few octets.
const session = [1, 3, 5, 7].flatMap((i) => [
  raw.frame('HEADERS', 4, i, POST),
  raw.frame('HEADERS', 0, i, OK.subarray(0, 1)),
  raw.frame('CONTINUATION', 4, i, OK.subarray(1)),
  raw.frame('DATA', 0, i, Buffer.alloc(30)),
  raw.frame('WINDOW_UPDATE', 0, i, raw.u32(50)),
  raw.settings([4, 100 * i]),
  raw.frame('DATA', 8, i, Buffer.alloc(40, 3)),
  raw.frame('HEADERS', 5, i, TRAILERS),
]);
const flips = fc.array(fc.tuple(fc.nat(Buffer.concat(session).length - 1), fc.nat(255)), { maxLength: 4 });
const flipped = fc.tuple(fc.subarray(session), flips).map(([frames, changes]) => {
  const all = Buffer.concat(frames);
  for (const [at, octet] of changes) if (at < all.length) all[at] = octet;
  return [all];
});

const input = fc.record({
  greets: fc.boolean(),
  pieces: fc.oneof(fc.array(piece, { maxLength: 20 }), flipped),
  cut: fc.nat(400),
  moods: fc.array(fc.nat(7), { minLength: 1, maxLength: 8 }),
});

/** Does something different on each stream, so that input meets all states. */
class Moody extends Exchange {
  private readonly mood: number;

  constructor(mood: number) {
    super();
    this.mood = mood;
  }

  begin(stream: Http2Stream): void {
    if (this.mood === 1) stream.sendReply(OK, Buffer.alloc(100), TRAILERS);
    if (this.mood === 2) stream.pause();
    if (this.mood === 3) stream.reset(8);
    if (this.mood === 4) stream.sendData(Buffer.alloc(100_000));
  }

  override onData(stream: Http2Stream, chunk: Buffer): void {
    super.onData(stream, chunk);
    if (this.mood === 5) throw new Error('mood');
    if (this.mood === 6) stream.pause();
    if (this.mood === 6) stream.resume();
  }

  override onEnd(stream: Http2Stream): void {
    super.onEnd(stream);
    if (this.mood === 7) stream.connection.drain();
    if (this.mood === 0 && stream.connection.isServer) stream.sendReply(OK, this.body, TRAILERS);
  }
}

async function run(
  role: Role,
  { greets, pieces, cut, moods }: typeof input extends fc.Arbitrary<infer T> ? T : never,
) {
  const listeners: Moody[] = [];
  const next = () => {
    const listener = new Moody(moods[listeners.length % moods.length] ?? 0);
    listeners.push(listener);
    return listener;
  };
  const owner = new Owner((stream) => {
    const listener = next();
    stream.listener = listener;
    listener.begin(stream);
  });
  const memory = new MemorySocket();
  const connection = new Http2Connection(memory.socket, role, owner, {
    initialWindowSize: 100,
  });
  if (role === 'client') for (let i = 0; i < 4; i++) connection.request(POST, next(), i % 2 === 0);
  const greeting = role === 'server' ? [raw.MAGIC, raw.settings()] : [raw.settings()];
  const all = Buffer.concat([...(greets ? greeting : []), ...pieces]);
  memory.push(all.subarray(0, cut));
  if (cut < all.length) memory.push(all.subarray(cut));
  await new Promise((resolve) => setImmediate(resolve));
  memory.push(null);
  await owner.closed;
  memory.destroy();
  assert.equal(connection.openStreams, 0);
  assert.equal(connection.scheduler.queued, 0);
  assert.equal(connection.receiver.held, 0);
  assert.equal(connection.scheduler.waiting, false);
  for (const failure of owner.failures) assert.equal((failure as Error).message, 'mood');
  for (const { events } of listeners) assert.equal(events.indexOf('close'), events.length - 1, events.join());
}

for (const role of ['server', 'client'] as const) {
  test(`${role} role: ${numRuns} random inputs`, async () => {
    await fc.assert(
      fc.asyncProperty(input, async (given) => await run(role, given)),
      { numRuns },
    );
  });
}
