/**
 * The rules of sharing a call, without a network: who joins what, what every passenger gets, what a passenger's end does
 * to the others, and the bounds.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FlightLimit, Flights } from '../../src/flights/flights.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { HeldUpstream, outcome, readCall, settle } from './held-upstream.ts';

const A = Buffer.from('a');
const REPLY = Buffer.from('reply');
const WIDE = { maxFlights: 100, maxPassengers: 100, maxKeyBytes: 1000 };

function start(limits = WIDE) {
  const upstream = new HeldUpstream();
  const seen = { sent: 0, ended: 0, joined: 0, refused: [] as FlightLimit[] };
  const flights = new Flights(upstream, limits, {
    onSent: () => void seen.sent++,
    onEnded: () => void seen.ended++,
    onJoined: () => void seen.joined++,
    onRefused: (limit) => void seen.refused.push(limit),
  });
  return { upstream, flights, seen };
}

describe('joining', () => {
  test('a first read goes out at once, the second waits for its end, the third joins the second', async () => {
    const { upstream, flights, seen } = start();
    const first = outcome(flights.unary(A, readCall()));
    assert.equal(upstream.calls.length, 1);
    const second = outcome(flights.unary(Buffer.from('a'), readCall()));
    const third = outcome(flights.unary(new Uint8Array([97]), readCall()));
    await settle();
    assert.equal(upstream.calls.length, 1);
    upstream.at(0).answer(REPLY);
    await settle();
    assert.equal(first.reply, REPLY);
    assert.equal(upstream.calls.length, 2);
    assert.deepEqual([second.reply, third.reply], [undefined, undefined]);
    const later = Buffer.from('later');
    upstream.at(1).answer(later);
    await settle();
    assert.equal(second.reply, later, 'the very same bytes');
    assert.equal(third.reply, later);
    assert.deepEqual(seen, { sent: 2, ended: 2, joined: 1, refused: [] });
    outcome(flights.unary(A, readCall()));
    assert.equal(upstream.calls.length, 3, 'at rest again');
  });

  test('different requests and different metadata share nothing', () => {
    const { upstream, flights } = start();
    const asked: [Buffer, string[]][] = [
      [A, []],
      [Buffer.from('b'), []],
      [Buffer.alloc(0), []],
      [A, ['token', 'x']],
      [A, ['token', 'y']],
      [A, ['authorization', 'x']],
      [A, ['hasleader', 'true']],
      [A, ['token', 'x', 'hasleader', 'true']],
      [A, ['client-api-version', '\xff']],
      [A, ['grpc-trace-bin', '!']],
      [A, ['tenant', 'x']],
    ];
    for (const [request, fields] of asked) outcome(flights.unary(request, readCall(fields)));
    assert.deepEqual(
      upstream.calls.map(({ request, call }) => [Buffer.from(request), call.metadata.fields]),
      asked,
    );
  });

  test('calls that differ in labels only share one, which carries those of the first', async () => {
    const { upstream, flights, seen } = start();
    for (let i = 0; i < 4; i++)
      outcome(flights.unary(A, readCall(['traceparent', `00-${i}`, 'token', 'x', 'x-request-id', `${i}`])));
    outcome(flights.unary(A, readCall(['token', 'x'])));
    assert.equal(upstream.calls.length, 1);
    assert.equal(seen.joined, 3);
    upstream.at(0).answer(REPLY);
    await settle();
    assert.deepEqual(
      upstream.calls.map(({ call }) => call.metadata.fields),
      [0, 1].map((i) => ['traceparent', `00-${i}`, 'token', 'x', 'x-request-id', `${i}`]),
    );
  });

  test('a client that sends labels and nothing else is nobody', () => {
    const { upstream, flights } = start();
    outcome(flights.unary(A, readCall()));
    outcome(flights.unary(A, readCall(['client-api-version', '3.6'])));
    assert.equal(upstream.calls.length, 1);
  });

  test('equal metadata of different connections is the same identity', () => {
    const { upstream, flights, seen } = start();
    for (let i = 0; i < 3; i++) outcome(flights.unary(A, readCall(['token', 'x'])));
    assert.equal(upstream.calls.length, 1);
    assert.equal(seen.joined, 1);
  });

  test('a request cannot be made to look like the identity of somebody else', () => {
    const { upstream, flights } = start();
    const secret = readCall(['token', 'x']);
    outcome(flights.unary(A, secret));
    for (const forged of ['["token","x"]a', '[]["token","x"]a', '"token","x"]a', 'token","x"]a'])
      outcome(flights.unary(Buffer.from(forged), readCall()));
    outcome(flights.unary(A, readCall(['token', 'x"]a'])));
    assert.equal(upstream.calls.length, 6);
  });
});

describe('passengers', () => {
  test('all get the headers and trailers of the answer, and of a failure the very error', async () => {
    const { upstream, flights } = start();
    const calls = [readCall(), readCall(), readCall()];
    const results = calls.map((call) => outcome(flights.unary(A, call)));
    const headers = new Metadata(['header', 'h']);
    const trailers = new Metadata(['trailer', 't']);
    const error = new RpcError(Code.OUT_OF_RANGE, 'etcdserver: compacted', 'ZGV0YWlscw');
    for (const index of [0, 1]) {
      upstream.at(index).call.responseHeaders = headers;
      upstream.at(index).call.responseTrailers = trailers;
      upstream.at(index).fail(error);
      await settle();
    }
    for (const result of results) assert.equal(result.error, error);
    for (const call of calls) {
      assert.equal(call.responseHeaders, headers);
      assert.equal(call.responseTrailers, trailers);
      assert.equal(call.work, undefined);
    }
  });

  test('one that is cancelled leaves the others alone; the last one takes the call with it', async () => {
    const { upstream, flights } = start();
    const calls = [readCall(), readCall(), readCall(), readCall()] as const;
    const results = calls.map((call) => outcome(flights.unary(A, call)));
    upstream.at(0).answer(REPLY);
    await settle();
    calls[1].cancel();
    calls[3].cancel();
    await settle();
    assert.equal(upstream.at(1).cancelled, false);
    const error = results[1]?.error;
    assert.ok(error instanceof RpcError && error.code === Code.CANCELLED);
    calls[2].cancel();
    assert.equal(upstream.at(1).cancelled, true);
    assert.equal(upstream.at(1).call.cancelled, true, 'the upstream does not try it again');
    await settle();
    outcome(flights.unary(A, readCall()));
    assert.equal(upstream.calls.length, 3, 'nothing is stuck');
  });

  test('a call that all its passengers left does not hold up the next one', async () => {
    const { upstream, flights } = start();
    const first = readCall();
    outcome(flights.unary(A, first));
    const second = outcome(flights.unary(A, readCall()));
    first.cancel();
    await settle();
    assert.equal(upstream.calls.length, 2);
    upstream.at(1).answer(REPLY);
    await settle();
    assert.equal(second.reply, REPLY);
  });

  test('a gathering call that all its passengers left is never sent', async () => {
    const { upstream, flights, seen } = start();
    outcome(flights.unary(A, readCall()));
    const second = readCall();
    outcome(flights.unary(A, second));
    second.cancel();
    upstream.at(0).answer(REPLY);
    await settle();
    assert.equal(upstream.calls.length, 1);
    assert.deepEqual([seen.sent, seen.ended], [1, 1]);
  });

  test('the call to etcd has the latest deadline of its passengers', async () => {
    const { upstream, flights } = start();
    outcome(flights.unary(A, readCall([], 1000)));
    assert.equal(upstream.at(0).call.deadline, 1000);
    const longest = readCall([], 9000);
    for (const call of [readCall([], 5000), longest, readCall([], 7000)]) outcome(flights.unary(A, call));
    longest.cancel();
    upstream.at(0).answer(REPLY);
    await settle();
    assert.equal(upstream.at(1).call.deadline, 7000);
    for (const call of [readCall([], 5000), readCall()]) outcome(flights.unary(A, call));
    upstream.at(1).answer(REPLY);
    await settle();
    assert.equal(upstream.at(2).call.deadline, Number.POSITIVE_INFINITY);
  });
});

describe('bounds', () => {
  test('a read beyond a bound is forwarded by itself and counted', async () => {
    const { upstream, flights, seen } = start({ maxFlights: 2, maxPassengers: 2, maxKeyBytes: 20 });
    const results = ['a', 'b', 'c', 'a', 'a', 'a', 'a long request, 24 bytes'].map((key) =>
      outcome(flights.unary(Buffer.from(key), readCall())),
    );
    assert.deepEqual(
      upstream.calls.map(({ request }) => Buffer.from(request).toString()),
      ['a', 'b', 'c', 'a', 'a long request, 24 bytes'],
    );
    assert.deepEqual(seen.refused, ['flights', 'members', 'key_bytes']);
    for (let i = 0; i < upstream.calls.length; i++) upstream.at(i).answer(REPLY);
    await settle();
    upstream.at(-1).answer(REPLY);
    await settle();
    assert.ok(results.every(({ reply }) => reply === REPLY));
    assert.equal(seen.sent, seen.ended);
  });

  test('metadata counts towards the size of a key', () => {
    const { flights, seen } = start({ ...WIDE, maxKeyBytes: 100 });
    outcome(flights.unary(A, readCall(['token', 'x'.repeat(100)])));
    assert.deepEqual(seen.refused, ['key_bytes']);
  });
});
