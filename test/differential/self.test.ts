/**
 * The differential suite put to the test: an answer that is wrong in any one way must be found, and one that is
 * right must not. A side that tells lies stands in the place of the proxy.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { KV, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { HashKVResponseSchema } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { collect, type GrpcOutcome, type OpenCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { type Case, calls, script } from './case.ts';
import { wish } from './cases/watch.ts';
import { differences, showDifferences } from './compare.ts';
import { Names } from './names.ts';
import { plainMessage, unknownFields } from './plain.ts';
import { at, b, rpc } from './rpc.ts';
import { plainSettings } from './settings.ts';
import { direct, type Side, startSide } from './side.ts';
import { assertSame, record } from './suite.ts';

const { range, put } = KV.method;

/** A call that has ended with an outcome. */
function replay({ messages, headers, ...end }: GrpcOutcome): OpenCall {
  const left = [...messages];
  return { next: async () => left.shift(), end: Promise.resolve(end), headers, cancel: () => {} };
}

/** The side as it is, except that each answer of one message is turned into another. */
function lying(side: Side, lie: (outcome: GrpcOutcome) => GrpcOutcome): Side {
  const open = (call: Parameters<Side['open']>[0]): OpenCall => {
    const outcome = collect(side.open(call)).then(lie);
    const replayed = outcome.then(replay);
    return {
      next: async (limitMs) => (await replayed).next(limitMs),
      end: replayed.then(({ end }) => end),
      headers: {},
      cancel: () => {},
    };
  };
  return { ...side, open };
}

type RangeReply = ReturnType<typeof fromBinary<typeof RangeResponseSchema>>;

/** A lie within the one message of an answer to Range. */
const inMessage =
  (change: (reply: RangeReply) => void) =>
  (outcome: GrpcOutcome): GrpcOutcome => {
    const messages = outcome.messages.map((bytes) => {
      const reply = fromBinary(RangeResponseSchema, bytes);
      change(reply);
      return toBinary(RangeResponseSchema, reply);
    });
    return { ...outcome, messages };
  };

const inHeader = (name: 'clusterId' | 'memberId' | 'revision' | 'raftTerm', value: bigint) =>
  inMessage(({ header }) => {
    if (header !== undefined) header[name] = value;
  });

const lies: readonly (readonly [name: string, lie: (outcome: GrpcOutcome) => GrpcOutcome])[] = [
  ['no cluster id', inHeader('clusterId', 0n)],
  ['another member id', inHeader('memberId', 7n)],
  ['another revision', inHeader('revision', 1n)],
  ['no raft term', inHeader('raftTerm', 0n)],
  ['another value', inMessage(({ kvs }) => kvs[0]?.value.fill(33))],
  ['a key less', inMessage(({ kvs }) => kvs.pop())],
  [
    'another count',
    inMessage((reply) => {
      reply.count += 1n;
    }),
  ],
  [
    'a field set that was not',
    inMessage((reply) => {
      reply.more = true;
    }),
  ],
  [
    'an unknown field',
    (outcome) => ({
      ...outcome,
      messages: outcome.messages.map((bytes) => Buffer.concat([bytes, Uint8Array.of(0xc0, 0x3e, 1)])),
    }),
  ],
  [
    'bytes cut off',
    (outcome) => ({ ...outcome, messages: outcome.messages.map((bytes) => bytes.subarray(0, -1)) }),
  ],
  ['a message less', (outcome) => ({ ...outcome, messages: [] })],
  ['a message twice', (outcome) => ({ ...outcome, messages: [...outcome.messages, ...outcome.messages] })],
  ['another code', (outcome) => ({ ...outcome, code: outcome.code + 1 })],
  ['another message text', (outcome) => ({ ...outcome, message: `${outcome.message}.` })],
  ['details', (outcome) => ({ ...outcome, details: 'CAM=' })],
  ['a trailer', (outcome) => ({ ...outcome, trailers: { 'x-more': ['1'] } })],
];

const reading: Case = calls('read', rpc(range, at('self')));

/** A client that swallows or changes responses on watch streams. */
class LyingClient extends RawGrpcClient {
  lie: (response: Uint8Array) => Uint8Array = (response) => response;

  override open(...args: Parameters<RawGrpcClient['open']>): ReturnType<RawGrpcClient['open']> {
    const call = super.open(...args);
    const next = call.next.bind(call);
    call.next = async (limitMs) => {
      const response = await next(limitMs);
      return response === undefined ? undefined : this.lie(response);
    };
    return call;
  }
}

const watching: Case = script('watch', async (script) => {
  const stream = script.stream(Watch.method.watch);
  stream.send(wish.create({ ...at('self'), watchId: 3n }));
  await stream.take();
  await script.run(rpc(put, { ...at('self'), value: b('2') }));
  await stream.take();
  stream.cancel();
});

describe('the comparison itself', () => {
  const held = new AsyncDisposableStack();
  const sides: Side[] = [];
  const pair = (): readonly [Side, Side] => {
    const [one, two] = sides;
    assert.ok(one && two);
    return [one, two];
  };
  before(async () => {
    sides.push(...(await Promise.all([direct, direct].map((kind) => startSide(kind, plainSettings)))));
    for (const side of sides) {
      held.use(side);
      const { path, request } = rpc(put, { ...at('self'), value: b('value') });
      assert.equal((await side.behind.call(path, [request])).code, 0);
    }
  });
  after(() => held.disposeAsync());

  test('two honest sides are the same', async () => {
    assertSame(await Promise.all(pair().map((side) => record(reading, side))));
    assertSame(await Promise.all(pair().map((side) => record(watching, side))));
  });

  for (const [name, lie] of lies) {
    test(`found: ${name}`, async () => {
      const [one, two] = pair();
      const truth = lying(one, ({ headers: _, ...outcome }) => ({ ...outcome, headers: {} }));
      const records = [await record(reading, truth), await record(reading, lying(two, lie))];
      assert.throws(() => assertSame(records), /not the same as direct/);
    });
  }

  test('a side that could lie and does not is the same', async () => {
    const honest = ({ headers: _, ...outcome }: GrpcOutcome): GrpcOutcome => ({ ...outcome, headers: {} });
    assertSame(await Promise.all(pair().map((side) => record(reading, lying(side, honest)))));
  });

  test('found: a wrong event on a stream', async () => {
    const [one, two] = pair();
    using client = new LyingClient(two.etcd.first.address);
    client.lie = (bytes) => {
      const response = fromBinary(WatchResponseSchema, bytes);
      for (const { kv } of response.events) if (kv !== undefined) kv.version += 1n;
      return toBinary(WatchResponseSchema, response);
    };
    const records = [await record(watching, one), await record(watching, { ...two, grpc: client })];
    assert.throws(() => assertSame(records), /events\[0\]\.kv\.version/);
  });

  test('found: a script that fails on one side only', async () => {
    const failing: Case = script('fail', async ({ side }) => {
      if (side === sides[1]) throw new Error('no');
    });
    const noting: Case = script('note', async (script) => script.note('something', 1));
    const [one, two] = pair();
    assert.throws(() =>
      assertSame([
        { side: one, record: { a: 1 }, failure: undefined },
        { side: two, record: {}, failure: undefined },
      ]),
    );
    const records = await Promise.all([record(noting, one), record(failing, two)]);
    assert.throws(() => assertSame(records), /the script failed/);
  });

  test('found: a case that records nothing, and one without a second side', async () => {
    const nothing: Case = script('nothing', async () => {});
    const records = await Promise.all(pair().map((side) => record(nothing, side)));
    assert.throws(() => assertSame(records), /records nothing/);
    assert.throws(() => assertSame([firstOf(records)]), /nothing to compare/);
  });
});

function firstOf<T>([first]: readonly T[]): T {
  assert.ok(first !== undefined);
  return first;
}

describe('plain values', () => {
  test('differences are found wherever they are', () => {
    assert.deepEqual(differences({ a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }), []);
    assert.deepEqual(differences({ a: [1, { b: 'x' }] }, { a: [1, { b: 'y' }] }), [
      { path: 'a[1].b', direct: 'x', other: 'y' },
    ]);
    assert.deepEqual(differences({ a: 1 }, {}), [{ path: 'a', direct: 1, other: undefined }]);
    assert.deepEqual(differences([1], [1, 2]), [{ path: '[1]', direct: undefined, other: 2 }]);
    assert.equal(differences({ a: [] }, { a: {} }).length, 1);
    assert.equal(differences('1', 1).length, 1);
    assert.match(showDifferences(differences({ a: 1 }, { a: 2 })), /a\n +direct +1\n +proxy +2/);
  });

  test('unknown fields are kept', () => {
    const plain = plainMessage(RangeResponseSchema, Uint8Array.of(0xc0, 0x3e, 1), new Names());
    assert.deepEqual(plain, { [unknownFields]: ['1000/0 hex:01'] });
  });

  test('a volatile field counts as set or not, and fully where the store is the same', () => {
    const bytes = toBinary(HashKVResponseSchema, create(HashKVResponseSchema, { hash: 5 }));
    assert.deepEqual(plainMessage(HashKVResponseSchema, bytes, new Names()), { hash: '<volatile>' });
    assert.deepEqual(plainMessage(HashKVResponseSchema, bytes, new Names(), true), { hash: 5 });
    assert.deepEqual(plainMessage(HashKVResponseSchema, new Uint8Array(), new Names()), {});
  });

  test('names stand for their values only', () => {
    const names = new Names();
    names.learnId('member', 255n);
    const inner = new Names(names);
    inner.learnId('lease', 4096n);
    assert.equal(inner.number(255n), '<member 1>');
    assert.equal(inner.number(4096n), '<lease 1>');
    assert.equal(inner.number(254n), '254');
    assert.equal(inner.text('lock/1000'), 'lock/<lease 1>');
  });
});
