/** Requests that no proper client sends, methods that nobody knows, and metadata of all kinds. */
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { until } from '../../support/until.ts';
import { type Case, calls, script } from '../case.ts';
import { at, b, rawRpc, rpc, unknownRpc } from '../rpc.ts';
import type { Script } from '../script.ts';
import { wish } from './watch.ts';

const services = [KV, Watch, Lease, Cluster, Maintenance, Auth, Lock, Election];
const everyMethod = services.flatMap((service) => service.methods);

const { range, put, txn } = KV.method;

/** How a call ends when its time is over: etcd does not always see why its stream was cancelled. */
export const overTime: readonly number[] = [1, 2, 4];

const grpcOnly = true;

/** Bytes that are no message of any type. */
const garbage: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['a field longer than the message', Uint8Array.of(0x0a, 0x7f, 1)],
  ['a field number of zero', Uint8Array.of(0x02, 1, 1)],
  ['a number without an end', new Uint8Array(12).fill(0xff)],
  ['a group that never ends', Uint8Array.of(0x0b)],
  ['the end of a group that never began', Uint8Array.of(0x0c)],
  ['an unknown wire type', Uint8Array.of(0x0f, 1)],
  ['text', b('this is no message')],
];

export const malformedCases: readonly Case[] = [
  ...garbage.map(([name, bytes]) =>
    calls(
      `malformed: ${name}, to every method`,
      ...everyMethod.map((method) => rawRpc(method, bytes, { grpcOnly })),
    ),
  ),
  calls(
    'malformed: a field of another type',
    rawRpc(range, Uint8Array.of(0x08, 1), { grpcOnly }),
    rawRpc(put, Uint8Array.of(0x08, 1), { grpcOnly }),
  ),
  calls(
    'malformed: text that is not UTF-8',
    rawRpc(Auth.method.userGet, Uint8Array.of(0x0a, 2, 0xff, 0xfe), { grpcOnly }),
  ),
  calls(
    'malformed: a field that nobody knows',
    rawRpc(range, Uint8Array.of(0x0a, 1, 0x6f, 0xc0, 0x3e, 1), { grpcOnly }),
  ),
  calls(
    'malformed: a field twice, the last one counts',
    rawRpc(range, Uint8Array.of(0x0a, 1, 0x6f, 0x0a, 1, 0x70), { grpcOnly }),
  ),
  calls(
    'malformed: operations within a transaction',
    ...[
      Uint8Array.of(0x12, 0),
      Uint8Array.of(0x1a, 0),
      Uint8Array.of(0x12, 2, 0x22, 0),
      Uint8Array.of(0x12, 3, 0x0a, 9, 1),
    ].map((bytes) => rawRpc(txn, bytes, { grpcOnly })),
  ),
  calls(
    'unknown: methods and services',
    ...[
      '/etcdserverpb.KV/Nothing',
      '/no.Such/Method',
      '/Watch',
      '/',
      '/etcdserverpb.KV/',
      '/etcdserverpb.KV/Range/More',
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    ].map((path) => unknownRpc(path, Uint8Array.of(0x0a, 1, 1))),
  ),
];

const metadataKinds: readonly (readonly [name: string, metadata: Readonly<Record<string, string>>])[] = [
  ['a leader wanted', { hasleader: 'true' }],
  ['a leader wanted, oddly', { hasleader: 'maybe' }],
  ['a version of the API', { 'client-api-version': '3.5.0' }],
  ['an odd version of the API', { 'client-api-version': 'seven' }],
  ['a token while auth is off', { token: 'wrong.1' }],
  ['authorization while auth is off', { authorization: 'Basic d3Jvbmc6d3Jvbmc=' }],
  ['keys of the client', { 'x-custom': 'value', 'x-binary-bin': 'AAEC/w==' }],
  ['a trace', { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }],
];

const metadata: readonly Case[] = metadataKinds.map(([name, metadata], index) =>
  script(`metadata: ${name}`, async (script) => {
    // A key that is read again and again is watched for a while.
    const key = at(`metadata/${index}`);
    await script.runAll([
      rpc(range, key, { metadata }),
      rpc(range, { ...key, serializable: true }, { metadata }),
      rpc(put, { ...key, value: b('1') }, { metadata }),
      rpc(range, { ...key, revision: 1n << 40n }, { metadata }),
    ]);
    const watch = script.stream(Watch.method.watch, { metadata });
    watch.send(wish.create(key));
    await watch.take();
    watch.cancel();
    const beats = script.stream(Lease.method.leaseKeepAlive, { metadata });
    beats.send({ ID: 404n });
    beats.halfClose();
    await beats.untilEnd();
  }),
);

/** The number of watches that etcd has. */
export async function watchers({ side }: Script): Promise<number> {
  const text = await (await fetch(`${side.etcd.first.metricsUrl}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}

const cancels: readonly Case[] = [
  script('cancel: a cancelled stream leaves no watches behind', async (script) => {
    await script.untilNumber('no watches left of earlier cases', 0, () => watchers(script));
    const stream = script.stream(Watch.method.watch);
    for (let index = 0; index < 5; index++) stream.send(wish.create(at(`cancel/${index}`)));
    await stream.take(5);
    await script.untilNumber('five watches', 5, () => watchers(script));
    stream.cancel();
    await script.untilNumber('no watches', 0, () => watchers(script));
  }),
  script('cancel: neither does one whose time is over', async (script) => {
    let timeoutMs = 250;
    // Where the machine stands still, the time is over before the watch is there: then it gets more.
    const stream = await until('a watch before its time is over', async () => {
      timeoutMs *= 2;
      const opened = script.stream(Watch.method.watch, { timeoutMs });
      opened.send(wish.create(at('cancel/late')));
      return opened.take().then(
        () => opened,
        () => undefined,
      );
    });
    await stream.untilEnd({ anyCode: overTime });
    await script.untilNumber('no watches', 0, () => watchers(script));
  }),
  script('cancel: nor does an observer', async (script) => {
    const observe = script.open(Election.method.observe, { name: b('cancel/observe') });
    await script.untilNumber('a watch', 1, () => watchers(script));
    observe.cancel();
    await script.untilNumber('no watches', 0, () => watchers(script));
  }),
  script('deadline: long enough', async (script) => {
    await script.run(rpc(range, at('deadline'), { timeoutMs: 60_000 }));
  }),
];

export const oddCases: readonly Case[] = [...metadata, ...cancels];
