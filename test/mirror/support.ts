/** A mirroring proxy in front of a real etcd, and calls in raw bytes to both. */
import { readFileSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type RangeRequest, RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { KV } from '../../src/etcd/methods.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { RpcError } from '../../src/rpc/status.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { metric } from '../support/metrics.ts';
import { until } from '../support/until.ts';

export const RANGE = KV.Range;
export const TXN = KV.Txn;

/** Every key that begins with the mirrored prefix. */
export const PREFIX = 'm/';
export const PREFIX_END = 'm0';

/** The encoded request. */
export function rangeRequest(fields: Partial<RangeRequest>): Uint8Array {
  return toBinary(RangeRequestSchema, create(RangeRequestSchema, fields as RangeRequest));
}

/** What became of a call: the reply's bytes, or etcd's error as text. */
export async function outcomeOf(
  to: ClusterClient,
  request: Uint8Array,
  method = RANGE,
  fields: readonly string[] = [],
  limitMs = 20_000,
): Promise<Uint8Array | string> {
  const metadata = fields.length === 0 ? NO_METADATA : new Metadata(fields);
  const call = new OwnCall(method, metadata, performance.now() + limitMs);
  try {
    return await to.unary(request, call);
  } catch (error) {
    const { code, message } = RpcError.from(error);
    return `${code} ${message}`;
  }
}

/** Waits until so many prefixes are served from memory. */
export async function untilServing(url: string, prefix = PREFIX, limitMs?: number): Promise<void> {
  const series = `etcd_proxy_mirror_state{prefix="${prefix}",state="serving"}`;
  await until('the prefix is served', async () => (await metric(url, series).catch(() => 0)) === 1, limitMs);
}

/** How long the main thread of a process has had a core so far, in milliseconds, by the hundredth of a second. */
export function mainThreadMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1');
  // Behind the name, which may be anything: state, ten more, and what it had in user and in kernel mode (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** Reads answered from memory so far. */
export function hits(url: string): Promise<number> {
  return metric(url, 'etcd_proxy_mirror_hits_total');
}

/** Reads forwarded for this reason so far. */
export function fallBacks(url: string, reason: string): Promise<number> {
  return metric(url, `etcd_proxy_mirror_fallbacks_total{reason="${reason}"}`).catch(() => 0);
}

/** Everything that the proxy counts of its mirrors, for messages. */
export async function mirrorPage(url: string): Promise<string> {
  const page = await (await fetch(`${url}/proxy/metrics`)).text();
  return page
    .split('\n')
    .filter((line) => line.startsWith('etcd_proxy_mirror'))
    .join('\n');
}

/** A reply without what differs from member to member. */
export function comparable(reply: Uint8Array | string): string {
  if (typeof reply === 'string') return reply;
  const { header } = fromBinary(RangeResponseSchema, reply);
  const length = reply[1] as number;
  return `${header?.clusterId} ${header?.revision} ${Buffer.from(reply.subarray(2 + length)).toString('latin1')}`;
}
