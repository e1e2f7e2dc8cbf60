/** An upstream may answer at once, or throw at once: no layer keeps anything of such a call, and none waits for it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { SeenUpstream } from '../../src/clients/seen-upstream.ts';
import { Flights } from '../../src/flights/flights.ts';
import { FallBacks } from '../../src/mirror/fall-backs.ts';
import { MirrorStats } from '../../src/mirror/stats.ts';
import type { Call } from '../../src/rpc/contract.ts';
import { forwardLater } from '../../src/rpc/forward.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { HeldUpstream, outcome, readCall, settle } from './held-upstream.ts';

/** RangeResponse{header: {cluster_id: 7, member_id: 1, revision: 9}}. */
const REPLY = Buffer.of(0x0a, 6, 0x08, 7, 0x10, 1, 0x18, 9);
const GONE = new RpcError(Code.UNAVAILABLE, 'gone');
const LIMITS = { maxFlights: 1, maxPassengers: 100, maxKeyBytes: 1000 };

const answers = { unary: () => REPLY, stream: () => assert.fail('no streams') };
const throws = {
  unary(): Uint8Array {
    throw GONE;
  },
};

/** Flights that have room for one lane: one that is kept shows at the next request. */
function flightsOn(upstream: ConstructorParameters<typeof Flights>[0]) {
  const seen = { sent: 0, ended: 0 };
  const flights = new Flights(upstream, LIMITS, {
    onSent: () => void seen.sent++,
    onEnded: () => void seen.ended++,
    onJoined: () => assert.fail('nobody joins'),
    onRefused: (limit) => assert.fail(limit),
  });
  return { flights, seen };
}

describe('flights', () => {
  test('what is answered at once is given at once, and its lane is gone', () => {
    const { flights, seen } = flightsOn(answers);
    for (const name of ['a', 'b', 'a']) assert.equal(flights.unary(Buffer.from(name), readCall()), REPLY);
    assert.deepEqual(seen, { sent: 3, ended: 3 });
  });

  test('so it is with what is thrown', () => {
    const { flights, seen } = flightsOn(throws);
    for (const name of ['a', 'b', 'a'])
      assert.throws(() => flights.unary(Buffer.from(name), readCall()), GONE);
    assert.deepEqual(seen, { sent: 3, ended: 3 });
  });

  for (const last of [answers, throws])
    test(`a flight ${last === answers ? 'answered' : 'failed'} at once ends for all of its clients`, async () => {
      const held = new HeldUpstream();
      let first = true;
      const { flights, seen } = flightsOn({
        unary(request: Uint8Array, call: Call) {
          if (!first) return last.unary();
          first = false;
          return held.unary(request, call);
        },
      });
      const call = readCall();
      outcome(flights.unary(Buffer.from('a'), readCall()));
      const second = outcome(flights.unary(Buffer.from('a'), call));
      held.at(0).answer(REPLY);
      await settle();
      if (last === answers) assert.equal(second.reply, REPLY);
      else assert.equal(second.error, GONE);
      assert.equal(call.work, undefined);
      assert.deepEqual(seen, { sent: 2, ended: 2 });
    });
});

test('a revision that is told at once is noted', () => {
  const seen = new SeenRevision();
  const order = { reads: () => false, strict: false, elsewhere: async () => undefined };
  const upstream = new SeenUpstream(answers, seen, order);
  assert.equal(upstream.unary(Buffer.from('a'), readCall()), REPLY);
  assert.equal(seen.revision, 9);
});

test('what falls back and is thrown at once leaves its place to the next one', async () => {
  const fallBacks = new FallBacks(throws, { max: 1, waitMs: 60_000 }, new MirrorStats());
  for (let i = 0; i < 3; i++)
    await assert.rejects(Promise.resolve(fallBacks.unary(Buffer.from('a'), readCall())), GONE);
});

test('forwarded for later, both are promises; one that is there already is not wrapped', async () => {
  assert.equal(await forwardLater(answers, Buffer.from('a'), readCall()), REPLY);
  await assert.rejects(forwardLater(throws, Buffer.from('a'), readCall()), GONE);
  const reply = Promise.resolve(REPLY);
  assert.equal(forwardLater({ unary: () => reply }, Buffer.from('a'), readCall()), reply);
});
