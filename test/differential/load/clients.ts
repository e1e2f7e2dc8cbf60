/** What clients of the cases of load do beside their watches. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
} from '#gen/etcdserverpb/lease_pb.js';
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { b, put, revision } from '../../support/watch-client.ts';
import type { Stage } from './stage.ts';

/** Where the store was before a case changed it. */
const before = new WeakMap<Stage, number>();
/** Is to be called before the past begins that a case watches. */
export const remember = async (stage: Stage): Promise<void> =>
  void before.set(stage, await revision(stage.direct));
/** The first revision of that past. */
export const since = (stage: Stage): bigint => BigInt((before.get(stage) ?? 0) + 1);

/** Puts keys past the proxy, some at a time. */
export async function putEach({ direct }: Stage, names: readonly string[], value = 'v'): Promise<void> {
  for (let i = 0; i < names.length; i += 100)
    await Promise.all(names.slice(i, i + 100).map((name) => put(direct, name, value)));
}

/** Puts keys with few requests. */
export async function fill(direct: RawGrpcClient, names: readonly string[]): Promise<void> {
  for (let i = 0; i < names.length; i += 128) {
    const success = names.slice(i, i + 128).map((name) => ({
      request: { case: 'requestPut' as const, value: { key: b(name), value: b('v') } },
    }));
    const message = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success }));
    const { code, message: why } = await direct.call('/etcdserverpb.KV/Txn', [message]);
    if (code !== 0) throw new Error(`${code} ${why}`);
  }
}

/** A client that has nothing to do with the case is served: a call, a lease that is kept alive, and a watch. */
export async function otherClient(stage: Stage): Promise<void> {
  const client = stage.client();
  const watch = stage.watch(client);
  await watch.created({ key: b('other') });
  await put(client, 'other', 'v', { timeoutMs: 10_000 });
  await watch.revisions(1);
  const grant = toBinary(LeaseGrantRequestSchema, create(LeaseGrantRequestSchema, { TTL: 60n }));
  const granted = await client.call('/etcdserverpb.Lease/LeaseGrant', [grant]);
  if (granted.code !== 0) throw new Error(`no lease: ${granted.message}`);
  const { ID } = fromBinary(LeaseGrantResponseSchema, granted.messages[0] as Uint8Array);
  const heartbeat = client.open('/etcdserverpb.Lease/LeaseKeepAlive');
  heartbeat.send(toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID })));
  if ((await heartbeat.next()) === undefined)
    throw new Error(`no heartbeat: ${(await heartbeat.end).message}`);
  heartbeat.cancel();
}
