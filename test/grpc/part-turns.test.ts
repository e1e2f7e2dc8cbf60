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
const LENGTH = 6 * MIB;
/** Of one call; a part is at least 256 KiB, and ends with a frame. */
const TURN_BYTES = (256 + 64) << 10;
const LIMITS = { maxBytes: 2 * LENGTH, tooLarge: () => 'too large' };

const REQUEST = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/s/m', ':authority', 'a']);
const RESPONSE = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const TRAILERS = encodeHeaders(['grpc-status', '0']);

class Taker implements ClientCallListener, PartSink {
  /** The bytes of each turn in which there were any. */
  readonly turns: number[] = [];
  bytes = 0;
  ending: Ending | undefined;
  /** What is done with a part when it has come. */
  act = (): void => {};
  #inTurn = 0;

  get parts(): PartSink {
    return this;
  }

  onPart(part: Buffer, left: number): void {
    assert.equal(part.length + left, LENGTH - this.bytes, 'parts come in order');
    this.bytes += part.length;
    if (this.#inTurn === 0) setImmediate(() => this.#endTurn());
    this.#inTurn += part.length;
    this.act();
  }

  #endTurn(): void {
    this.turns.push(this.#inTurn);
    this.#inTurn = 0;
  }

  onHeaders(): void {}
  onMessage(): void {}
  onDrain(): void {}
  onEnding(ending: Ending): void {
    this.ending = ending;
  }
}

/** A call whose answer is one long message, all of which comes at once. */
async function answered({ connection, peer }: Scene, taker: Taker): Promise<ClientCall> {
  await peer.settled();
  const call = new ClientCall(connection, REQUEST, taker, LIMITS, Number.POSITIVE_INFINITY, 'peer');
  call.halfClose();
  await peer.nextOf('HEADERS', 1);
  const message = Buffer.concat([envelopeHead(LENGTH), Buffer.alloc(LENGTH, 1)]);
  const frames = [frame('HEADERS', END_HEADERS, 1, RESPONSE)];
  for (let at = 0; at < message.length; at += 16_384)
    frames.push(frame('DATA', 0, 1, message.subarray(at, at + 16_384)));
  peer.send(...frames, frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS));
  return call;
}

const WIDE = { initialWindowSize: 2 * LENGTH, connectionWindowSize: 2 * LENGTH };

test('so much of a long message is taken in a turn, and then its end', async () => {
  await using played = await scene(WIDE);
  const taker = new Taker();
  await answered(played, taker);
  await until('the end', () => taker.ending !== undefined);
  await nextTurn();
  assert.deepEqual([taker.bytes, taker.ending?.status.code], [LENGTH, 0]);
  assert.ok(Math.max(...taker.turns) <= TURN_BYTES, `${taker.turns}`);
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
