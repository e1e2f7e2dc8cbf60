/**
 * Calls that break the rules of their kind, or come close to what a hop can carry: no message where there must be
 * one, two where there may be only one, large metadata, odd deadlines, many calls at once.
 */
import type { DescMethod, MessageInitShape } from '@bufbuild/protobuf';
import { KV, type TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { type Case, calls, script } from '../case.ts';
import { at, b, pathOf, type RpcOptions, rawRpc, rpc, unknownRpc } from '../rpc.ts';
import type { Script } from '../script.ts';
import { overTime } from './odd.ts';
import { wish } from './watch.ts';

const { range, put } = KV.method;
const { watch } = Watch.method;
const { leaseGrant, leaseKeepAlive } = Lease.method;

/**
 * gRPC leaves it to a server what to say about too few or too many messages; the proxy says what it is, and sends
 * nothing of it to etcd.
 */
const wrongCount: RpcOptions = {
  documented: {
    direct: [
      { code: 2, message: 'EOF' },
      { code: 13, message: 'EOF' },
      { code: 0, message: '' },
    ],
    proxy: [
      { code: 13, message: 'grpc: the request ended before its message was complete' },
      { code: 13, message: 'grpc: received more than one message for a unary call' },
    ],
  },
};

/** Makes a call with as many messages as told, whatever its kind. */
async function withMessages(
  script: Script,
  method: DescMethod,
  messages: readonly Uint8Array[],
  options: RpcOptions,
): Promise<void> {
  const outcome = await script.side.grpc.call(pathOf(method), messages);
  script.noteOutcome(`${method.name} with ${messages.length} messages`, method.output, outcome, options);
}

const oneKey = rpc(range, at('framing')).request;

const counts: readonly Case[] = [
  script('framing: no message where there must be one', async (script) => {
    for (const method of [range, put, Maintenance.method.status])
      await withMessages(script, method, [], wrongCount);
    for (const method of [Maintenance.method.snapshot, Election.method.observe])
      await withMessages(script, method, [], {});
  }),
  script('framing: two messages where there must be one', async (script) => {
    await withMessages(script, range, [oneKey, oneKey], wrongCount);
    await withMessages(script, range, [oneKey, Uint8Array.of(0x0a, 0x7f)], wrongCount);
  }),
  calls(
    'framing: an empty message to a method that nobody knows',
    unknownRpc('/no.Such/Method', new Uint8Array()),
  ),
  calls('framing: percent signs in a path', unknownRpc('/no.Such%20%zz/Method%25', new Uint8Array())),
];

const timed = (timeout: string, options: RpcOptions): Case =>
  calls(
    `framing: a timeout of ${timeout}`,
    rawRpc(range, oneKey, { metadata: { 'grpc-timeout': timeout }, grpcOnly: true, ...options }),
  );

const metadata: readonly Case[] = [
  // Longer ones are in bounds/etcd-limits.test.ts: the client of this suite sends none.
  ...[1_000, 7_000, 30_000, 60_000].map((size) =>
    calls(
      `framing: ${size} bytes of metadata`,
      rpc(range, at('framing'), { metadata: { 'x-large': 'x'.repeat(size) } }),
    ),
  ),
  calls(
    'framing: a hundred keys of metadata',
    rpc(range, at('framing'), {
      metadata: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`x-key-${index}`, `${index}`])),
    }),
  ),
  ...['1H', '99999999H', '60S', '100000m', '60000000u'].map((timeout) => timed(timeout, {})),
  // over before etcd has seen the call, but now and then it answers before it looks at the time
  ...['0S', '1n'].map((timeout) => timed(timeout, { anyCode: [0, ...overTime] })),
  // etcd resets the stream, or takes it for a time that is over, by release; the proxy says what is wrong
  ...['nonsense', '5', '123456789S'].map((timeout) => timed(timeout, { anyCode: [...overTime, 13] })),
  timed('-5S', { anyCode: [0, ...overTime, 13] }),
];

const large: readonly Case[] = [
  ...[1_000_000, 1_600_000].map((size) =>
    script(`framing: a message of ${size} bytes on a stream, too large for etcd`, async (script) => {
      const stream = script.stream(watch);
      stream.send(wish.create({ key: new Uint8Array(size) }));
      await stream.untilEnd();
    }),
  ),
];

const heartbeats = script('framing: a thousand heartbeats at once', async (script) => {
  await script.run(rpc(leaseGrant, { ID: 4_001n, TTL: 3600n }));
  const stream = script.stream(leaseKeepAlive);
  for (let beat = 0; beat < 1000; beat++)
    stream.send({ ID: beat % 2 === 0 ? 4_001n : BigInt(10_000 + beat) });
  stream.halfClose();
  await stream.untilEnd();
});

const atOnce = script('framing: three hundred calls at once, each gets its own answer', async (script) => {
  const keys = Array.from({ length: 100 }, (_, index) => `framing/${index}`);
  const filling: MessageInitShape<typeof TxnRequestSchema> = {
    success: keys.map((key) => ({ request: { case: 'requestPut', value: { ...at(key), value: b(key) } } })),
  };
  await script.run(rpc(KV.method.txn, filling));
  const asked = [...keys, ...keys, ...keys].map((key, index) =>
    rpc(range, {
      ...at(key),
      ...(index % 7 === 0 ? { revision: 1n << 40n } : {}),
      serializable: index % 2 === 0,
    }),
  );
  await script.runAtOnce(asked);
});

/** For every protocol. */
export const framingCases: readonly Case[] = [...metadata, atOnce];
/** For gRPC alone. */
export const framingStreamCases: readonly Case[] = [...counts, ...large, heartbeats];
