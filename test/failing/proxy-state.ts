/** What can be seen of a proxy from outside: which member serves its clients, if one does. */
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { EtcdMember } from '../support/etcd.ts';
import type { GrpcOutcome, RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { Stage } from './stage.ts';

const PUT = '/etcdserverpb.KV/Put';
const RANGE = '/etcdserverpb.KV/Range';

/** The bytes of a linearizable read of a key. */
const rangeMessage = (key: string): Uint8Array =>
  toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b(key) }));

/** The bytes of a put. */
const putMessage = (key: string, value: string): Uint8Array =>
  toBinary(PutRequestSchema, create(PutRequestSchema, { key: b(key), value: b(value) }));

/** A linearizable get, with a deadline where one is given. */
export function get(client: RawGrpcClient, key: string, timeoutMs?: number): Promise<GrpcOutcome> {
  const deadline = timeoutMs === undefined ? {} : { timeoutMs };
  return client.call(RANGE, [rangeMessage(key)], { ...deadline, limitMs: 60_000 });
}

/** A put, with a deadline where one is given. */
export function put(client: RawGrpcClient, key: string, timeoutMs?: number): Promise<GrpcOutcome> {
  const deadline = timeoutMs === undefined ? {} : { timeoutMs };
  return client.call(PUT, [putMessage(key, key)], { ...deadline, limitMs: 60_000 });
}

/** Waits until a put and a get are answered, and tells how long that took. */
export async function untilServed(client: RawGrpcClient, limitMs = 30_000): Promise<number> {
  const since = performance.now();
  await until(
    'a put and a get are answered',
    async () => {
      const answers = await Promise.all([put(client, 'served', 1_000), get(client, 'served', 1_000)]);
      return answers.every(({ code }) => code === 0);
    },
    limitMs,
  );
  return performance.now() - since;
}

/** So long a member that works may take, on a busy machine too. */
const PATIENT_MS = 5_000;

/** How many puts a member has answered, by its own count; undefined while it tells nothing. */
async function putsAnswered({ metricsUrl }: EtcdMember): Promise<number | undefined> {
  const series = /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Put".*\} (\d+)$/m;
  try {
    const page = await fetch(`${metricsUrl}/metrics`, { signal: AbortSignal.timeout(PATIENT_MS) });
    return Number(series.exec(await page.text())?.[1] ?? 0);
  } catch {
    return undefined; // it hangs, or is gone
  }
}

/** Puts through the proxy, and gives the index of the member that has answered; -1 where none has in time. */
export async function servedBy(stage: Stage, client: RawGrpcClient): Promise<number> {
  const counts = () => Promise.all(stage.members.map(putsAnswered));
  const before = await counts();
  await put(client, 'served', PATIENT_MS);
  const after = await counts();
  return after.findIndex((count, i) => count !== undefined && count > (before[i] ?? count));
}
