/**
 * Messages as plain values that can be compared and shown: fields by their protobuf names, bytes as text,
 * unknown fields kept, volatile values named.
 */
import { createHash } from 'node:crypto';
import { type DescField, type DescMessage, fromBinary } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import type { Names } from './names.ts';

/** A plain value. */
export type Plain =
  | string
  | number
  | boolean
  | undefined
  | readonly Plain[]
  | { readonly [name: string]: Plain };

/** The name under which the fields that the descriptor does not know stand. */
export const unknownFields = '?unknown';

/**
 * Fields whose values depend on time, chance or the disk. Where one is set, only that it is set is compared; the
 * comparison of calls to the very same store leaves them in.
 */
const volatileFields: ReadonlySet<string> = new Set([
  'etcdserverpb.ResponseHeader.raft_term',
  'etcdserverpb.StatusResponse.raftTerm',
  'etcdserverpb.StatusResponse.raftIndex',
  'etcdserverpb.StatusResponse.raftAppliedIndex',
  'etcdserverpb.StatusResponse.storageVersion',
  'etcdserverpb.StatusResponse.dbSize',
  'etcdserverpb.StatusResponse.dbSizeInUse',
  'etcdserverpb.HashResponse.hash',
  'etcdserverpb.HashKVResponse.hash',
  'etcdserverpb.LeaseTimeToLiveResponse.TTL',
  'etcdserverpb.SnapshotResponse.remaining_bytes',
  'etcdserverpb.SnapshotResponse.blob',
]);

/** Lists that etcd answers in no order, or in that of volatile ids. */
const unordered: ReadonlySet<string> = new Set([
  'etcdserverpb.LeaseTimeToLiveResponse.keys',
  'etcdserverpb.LeaseLeasesResponse.leases',
  'etcdserverpb.MemberListResponse.members',
  'etcdserverpb.MemberAddResponse.members',
  'etcdserverpb.MemberRemoveResponse.members',
  'etcdserverpb.MemberUpdateResponse.members',
  'etcdserverpb.MemberPromoteResponse.members',
]);

const longest = 160;

/** Bytes as text where they are text, else in hexadecimal; long ones by length and hash. */
export function bytesText(bytes: Uint8Array, names?: Names): string {
  if (bytes.length > longest)
    return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`;
  const text = Buffer.from(bytes).toString('latin1');
  if (!/^[\x20-\x7e]*$/.test(text)) return `hex:${Buffer.from(bytes).toString('hex')}`;
  return names?.text(text) ?? text;
}

function scalar(value: unknown, names: Names): Plain {
  if (value instanceof Uint8Array) return bytesText(value, names);
  if (typeof value === 'bigint') return names.number(value);
  if (typeof value === 'string') return names.text(value);
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  throw new Error(`no plain form of a ${typeof value}`);
}

function isVolatile(field: DescField, value: unknown): boolean {
  // a lease that does not exist has a time to live of -1, which is no matter of time
  const set = typeof value !== 'bigint' || value > 0n;
  return set && volatileFields.has(`${field.parent.typeName}.${field.name}`);
}

function fieldPlain(message: ReflectMessage, field: DescField, names: Names, exact: boolean): Plain {
  if (field.fieldKind === 'message') return messagePlain(message.get(field), names, exact);
  if (field.fieldKind === 'list') {
    const items = [...message.get(field)].map((item) =>
      field.listKind === 'message' ? messagePlain(item as ReflectMessage, names, exact) : scalar(item, names),
    );
    const inOrder = !unordered.has(`${field.parent.typeName}.${field.name}`);
    return inOrder
      ? items
      : items.toSorted((one, two) => (JSON.stringify(one) < JSON.stringify(two) ? -1 : 1));
  }
  if (field.fieldKind === 'map') throw new Error(`${field}: etcd's API has no maps`);
  const value: unknown = message.get(field);
  if (!exact && isVolatile(field, value)) return '<volatile>';
  return scalar(value, names);
}

function messagePlain(message: ReflectMessage, names: Names, exact: boolean): Plain {
  const plain: Record<string, Plain> = {};
  for (const field of message.fields) {
    if (message.isSet(field)) plain[field.name] = fieldPlain(message, field, names, exact);
  }
  const unknown = message.getUnknown() ?? [];
  if (unknown.length > 0)
    plain[unknownFields] = unknown.map(({ no, wireType, data }) => `${no}/${wireType} ${bytesText(data)}`);
  return plain;
}

/** A message of a type as a plain value; bytes that are no such message are shown as they are. */
export function plainMessage(schema: DescMessage, bytes: Uint8Array, names: Names, exact = false): Plain {
  try {
    return messagePlain(reflect(schema, fromBinary(schema, bytes)), names, exact);
  } catch (error) {
    return { undecodable: bytesText(bytes), because: String(error) };
  }
}

/** A plain value without the unknown fields, which JSON cannot carry. */
export function withoutUnknown(value: Plain): Plain {
  if (Array.isArray(value)) return value.map(withoutUnknown);
  if (typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([name]) => name !== unknownFields);
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutUnknown(inner)]));
}
