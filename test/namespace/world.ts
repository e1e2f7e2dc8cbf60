/** What there is in an etcd, as it is seen from all of it, and from within a namespace. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { rpc } from '../differential/rpc.ts';
import type { RawGrpcClient } from '../support/raw-grpc.ts';
import type { Span } from './steps.ts';

export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
export const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A key as etcd has it. */
export interface Known {
  readonly key: string;
  readonly value: string;
  readonly lease: bigint;
  readonly modRevision: bigint;
}

/** A range that a role may read and write. */
export interface Allowed extends Span {
  readonly role: string;
}

/** All that is in an etcd. */
export interface World {
  readonly keys: readonly Known[];
  readonly allowed: readonly Allowed[];
  readonly leases: readonly bigint[];
}

/** Asks etcd itself; what it refuses is a fault of the test. */
export async function ask<I extends DescMessage, O extends DescMessage>(
  etcd: RawGrpcClient,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  const { path, request: bytes } = rpc(method, request);
  const { code, message, messages } = await etcd.call(path, [bytes]);
  if (code !== 0) throw new Error(`${path}: ${code} ${message}`);
  return fromBinary(method.output, messages[0] as Uint8Array);
}

/** Looks at everything. */
export async function worldOf(etcd: RawGrpcClient): Promise<World> {
  const [{ kvs }, { leases }, { roles }] = await Promise.all([
    ask(etcd, KV.method.range, { key: bytesOf('\0'), rangeEnd: bytesOf('\0') }),
    ask(etcd, Lease.method.leaseLeases, {}),
    ask(etcd, Auth.method.roleList, {}),
  ]);
  const keys = kvs.map(({ key, value, lease, modRevision }) => ({
    key: latin1(key),
    value: latin1(value),
    lease,
    modRevision,
  }));
  const allowed: Allowed[] = [];
  for (const role of roles) {
    const { perm } = await ask(etcd, Auth.method.roleGet, { role });
    allowed.push(...perm.map(({ key, rangeEnd }) => ({ role, key: latin1(key), end: latin1(rangeEnd) })));
  }
  // etcd 3.4 has them in the order of their keys, those of one key in any.
  allowed.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return { keys, allowed, leases: leases.map(({ ID }) => ID) };
}

/** Whether a key is in a range, as etcd understands ranges. */
export function isIn(key: string, { key: start, end }: Span): boolean {
  if (end === '') return key === start;
  return key >= start && (end === '\0' || key < end);
}

/** The keys of a namespace that are in a range of its client's, as the client sees them. */
export function seenIn(world: World, prefix: string, span: Span): string[] {
  return world.keys
    .filter(({ key }) => key.startsWith(prefix) && key.length > prefix.length)
    .map(({ key }) => key.slice(prefix.length))
    .filter((key) => isIn(key, span));
}

/** Whether a permission has no key, which etcd takes until 3.4. It allows nothing: to etcd its range begins behind all keys. */
export const isKeyless = ({ key }: Span): boolean => key === '';

/** What is outside of a namespace; permissions without a key are nowhere. */
export function outside(prefix: string, { keys, allowed }: World) {
  return {
    keys: keys.filter(({ key }) => !(key.startsWith(prefix) && key.length > prefix.length)),
    allowed: allowed.filter((range) => !isKeyless(range) && !isWithin(prefix, range)),
  };
}

/** Whether a range has keys of a namespace alone. */
export function isWithin(prefix: string, { key, end }: Span): boolean {
  const last = prefix.length - 1;
  const behind = prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
  if (!key.startsWith(prefix) || key.length === prefix.length) return false;
  return end === '' || (end !== '\0' && end <= behind);
}

/** Makes it empty again, but for leases. */
export async function clear(etcd: RawGrpcClient): Promise<void> {
  await ask(etcd, KV.method.deleteRange, { key: bytesOf('\0'), rangeEnd: bytesOf('\0') });
  for (const role of (await ask(etcd, Auth.method.roleList, {})).roles)
    await ask(etcd, Auth.method.roleDelete, { role });
}
