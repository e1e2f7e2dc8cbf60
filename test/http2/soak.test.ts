/**
 * Engine against engine under random conditions: small windows, pauses, cancelled streams, answers in
 * pieces. Every stream that was not cancelled carries its bytes unchanged, and nothing is left over.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ErrorCode, type Http2Stream } from '../../src/http2/index.ts';
import { connect, EngineServer, Exchange } from './support/exchange.ts';
import { OK, POST, TRAILERS } from './support/play.ts';

/** Pauses for a turn now and then. */
class Hesitant extends Exchange {
  private readonly every: number;
  private count = 0;

  constructor(every: number) {
    super();
    this.every = every;
  }

  override onData(stream: Http2Stream, chunk: Buffer): void {
    super.onData(stream, Buffer.from(chunk));
    if (this.every === 0 || ++this.count % this.every !== 0) return;
    stream.pause();
    setImmediate(() => stream.resume());
  }
}

/** Sends back what it gets as it comes, in two parts. */
class Echo extends Hesitant {
  override onData(stream: Http2Stream, chunk: Buffer): void {
    super.onData(stream, chunk);
    const middle = chunk.length >>> 1;
    if (!stream.sendParts(chunk.subarray(0, middle), chunk.subarray(middle))) stream.pause();
  }

  override onDrain(stream: Http2Stream): void {
    stream.resume();
  }

  override onEnd(stream: Http2Stream): void {
    stream.sendTrailers(TRAILERS);
  }
}

const call = fc.record({
  size: fc.oneof(fc.nat(300), fc.nat(70_000), fc.constant(300_000)),
  piece: fc.constantFrom(100, 5000, 20_000, 400_000),
  every: fc.constantFrom(0, 1, 3),
  fate: fc.constantFrom('whole', 'whole', 'whole', 'cancelled at once', 'cancelled', 'refused'),
});

const conditions = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 40 }),
  window: fc.constantFrom(100, 65_535, 1 << 20),
  mark: fc.constantFrom(1, 1000, 256 << 10),
  every: fc.constantFrom(0, 1, 3),
});

type Conditions = typeof conditions extends fc.Arbitrary<infer T> ? T : never;

async function run({ calls, window, mark, every }: Conditions): Promise<void> {
  const settings = { initialWindowSize: window, streamHighWaterMark: mark, streamLowWaterMark: mark >>> 1 };
  const onStream = (stream: Http2Stream) => {
    const { fate } = calls[(stream.id - 1) / 2] as Conditions['calls'][number];
    stream.listener = new Echo(every);
    if (fate === 'refused') stream.reset(ErrorCode.REFUSED_STREAM);
    else stream.sendHeaders(OK);
  };
  await using server = new EngineServer(onStream, settings);
  const { owner, connection } = connect(await server.listen(), settings);
  await owner.ready;
  const exchanges = calls.map(({ size, piece, every: pauses, fate }) => {
    const exchange = new Hesitant(pauses);
    const stream = connection.request(POST, exchange, false);
    const content = Buffer.alloc(size, stream.id);
    for (let at = 0; at < size; at += piece) stream.sendData(content.subarray(at, at + piece));
    stream.sendData(Buffer.alloc(0), true);
    if (fate === 'cancelled at once') stream.reset(ErrorCode.CANCEL);
    if (fate === 'cancelled') setImmediate(() => stream.reset(ErrorCode.CANCEL));
    return exchange;
  });
  await Promise.all(exchanges.map(async (exchange) => await exchange.done));
  exchanges.forEach((exchange, i) => {
    const { size, fate } = calls[i] as Conditions['calls'][number];
    const id = 2 * i + 1;
    if (fate === 'whole') {
      assert.equal(exchange.code, 0, `stream ${id}`);
      assert.ok(exchange.body.equals(Buffer.alloc(size, id)), `stream ${id} of ${size} octets`);
    }
    if (fate === 'refused') assert.equal(exchange.code, ErrorCode.REFUSED_STREAM);
  });
  assert.equal(connection.openStreams, 0);
  assert.equal(connection.scheduler.queued, 0);
  assert.equal(connection.receiver.held, 0);
  connection.destroy();
  await server.owners[0]?.closed;
  assert.equal(server.connections[0]?.openStreams, 0);
  assert.equal(server.connections[0]?.scheduler.queued, 0);
  assert.deepEqual([...owner.failures, ...(server.owners[0]?.failures ?? [])], []);
}

test('random calls between two engines', async () => {
  const numRuns = Number(process.env.SOAK_RUNS ?? 25);
  await fc.assert(fc.asyncProperty(conditions, run), { numRuns });
});
