/** Long messages that are taken in parts: so much in a turn of the event loop, all of it in order, and pauses hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ClientCall, type ClientCallListener, type Ending } from '../../src/grpc/client-call.ts';
import { envelopeHead } from '../../src/grpc/envelope.ts';
import { encodeHeaders } from '../../src/http2/index.ts';
import type { PartSink } from '../../src/rpc/contract.ts';
import { END_HEADERS, END_STREAM, frame } from '../http2/support/raw-peer.ts';
import { type Scene, scene } from '../http2/support/scripted-server.ts';
import { until } from '../support/until.ts';

const MIB = 1 << 20;
const LENGTH = 3 * MIB;
/** Of one call: a part, which has 256 KiB at least and ends with a frame or what the socket read. */
const TURN_BYTES = (256 + 64) << 10;
const LIMITS = { maxBytes: 2 * LENGTH, tooLarge: () => 'too large' };

const REQUEST = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/s/m', ':authority', 'a']);
const RESPONSE = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const TRAILERS = encodeHeaders(['grpc-status', '0']);

/** Counts bytes by the turn of the event loop. */
class Turns {
  readonly #counts = new Map<number, number>();

  add(bytes: number): void {
    const { loopCount } = performance.nodeTiming.uvMetricsInfo;
    this.#counts.set(loopCount, (this.#counts.get(loopCount) ?? 0) + bytes);
  }

  get all(): number[] {
    return [...this.#counts.values()];
  }

  get most(): number {
    return Math.max(...this.all);
  }
}

class Taker implements ClientCallListener, PartSink {
  readonly turns: Turns;
  bytes = 0;
  ending: Ending | undefined;
  /** What is done with a part when it has come. */
  act = (): void => {};

  /** @param turns counts its parts but for the first */
  constructor(turns = new Turns()) {
    this.turns = turns;
  }

  get parts(): PartSink {
    return this;
  }

  onPart(part: Buffer, left: number): void {
    assert.equal(part.length + left, LENGTH - this.bytes, 'parts come in order');
    if (this.bytes > 0) this.turns.add(part.length);
    this.bytes += part.length;
    this.act();
  }

  onHeaders(): void {}
  onMessage(): void {}
  onDrain(): void {}
  onEnding(ending: Ending): void {
    this.ending = ending;
  }
}

const call = ({ connection }: Scene, taker: Taker): ClientCall => {
  const made = new ClientCall(connection, REQUEST, taker, LIMITS, Number.POSITIVE_INFINITY, 'peer');
  made.halfClose();
  return made;
};

/** Answers the first calls of a connection with a long message each, all of which come at once, a frame of each in turns. */
async function answer({ peer }: Scene, calls: number): Promise<void> {
  const ids = Array.from({ length: calls }, (_, i) => 2 * i + 1);
  for (const id of ids) await peer.nextOf('HEADERS', id);
  const message = Buffer.concat([envelopeHead(LENGTH), Buffer.alloc(LENGTH, 1)]);
  const frames = ids.map((id) => frame('HEADERS', END_HEADERS, id, RESPONSE));
  for (let at = 0; at < message.length; at += 16_384)
    for (const id of ids) frames.push(frame('DATA', 0, id, message.subarray(at, at + 16_384)));
  peer.send(...frames, ...ids.map((id) => frame('HEADERS', END_HEADERS | END_STREAM, id, TRAILERS)));
}

/** A call whose answer is one. */
async function answered(played: Scene, taker: Taker): Promise<ClientCall> {
  await played.peer.settled();
  const made = call(played, taker);
  await answer(played, 1);
  return made;
}

const CALLS = 5;
const WIDE = { initialWindowSize: 2 * LENGTH, connectionWindowSize: 2 * CALLS * LENGTH };

test('so much of a long message is taken in a turn, and then its end', async () => {
  await using played = await scene(WIDE);
  const taker = new Taker();
  await answered(played, taker);
  await until('the end', () => taker.ending !== undefined);
  assert.deepEqual([taker.bytes, taker.ending?.status.code], [LENGTH, 0]);
  assert.ok(taker.turns.most <= TURN_BYTES, `${taker.turns.all}`);
});

test('calls with long messages at the same time take turns', async () => {
  await using played = await scene(WIDE);
  await played.peer.settled();
  const turns = new Turns();
  const takers = Array.from({ length: CALLS }, () => new Taker(turns));
  for (const taker of takers) call(played, taker);
  await answer(played, CALLS);
  await until('the ends', () => takers.every(({ ending }) => ending !== undefined));
  for (const { bytes, ending } of takers) assert.deepEqual([bytes, ending?.status.code], [LENGTH, 0]);
  // Of two that are let go on one after the other, both may have what waits for them at the end of one turn.
  assert.ok(turns.most <= 2 * TURN_BYTES, `${turns.all}`);
});

test('a call that was paused meanwhile stays paused, and goes on when it is resumed', async () => {
  await using played = await scene(WIDE);
  const taker = new Taker();
  const call = await answered(played, taker);
  // With this part the turn has had enough.
  taker.act = () => {
    if (taker.bytes >= MIB / 4) call.pause();
  };
  await until('some parts', () => taker.bytes >= MIB / 4);
  const { bytes } = taker;
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.equal(taker.bytes, bytes);
  taker.act = () => {};
  call.resume();
  await until('the end', () => taker.ending !== undefined);
  assert.deepEqual([taker.bytes, taker.ending?.status.code], [LENGTH, 0]);
});

test('a call that is given up meanwhile hears nothing more', async () => {
  await using played = await scene(WIDE);
  const taker = new Taker();
  const call = await answered(played, taker);
  taker.act = () => {
    if (taker.bytes > MIB) call.cancel();
  };
  await until('some parts', () => taker.bytes > MIB);
  const { bytes } = taker;
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.deepEqual([taker.bytes, taker.ending], [bytes, undefined]);
});
