/**
 * Works out a Range on a store, as `server/etcdserver/txn/range.go` of etcd does, and puts the reply together from the
 * bytes that etcd sent for each key. Where releases of etcd differ, or the outcome hangs on how Go sorts, it has no
 * answer and etcd is asked.
 */
import { Order, type RangeQuery, Target } from './range-query.ts';
import type { Store } from './store.ts';
import { type Version, varint } from './version.ts';

/** Tags of `RangeResponse`. */
const HEADER_TAG = 0x0a;
const MORE_TAG = 0x18;
const COUNT_TAG = 0x20;

/** Go's sort keeps the order of equal elements up to so many of them; of more, nobody can tell. */
const STABLE = 6;
/** More keys than these are neither sorted nor rewritten here: nothing else is served meanwhile. */
const MAX_REWORKED = 20_000;
/** Replies above this are left to etcd, for the same reason. Bytes. */
export const MAX_REPLY_BYTES = 64 << 20;

/** A whole reply's end: one key. */
const ONE = String.fromCharCode(COUNT_TAG, 1);

/** Why there is no answer. */
export type NoAnswer = 'unstable' | 'large' | 'release';

/**
 * The reply, or why there is none.
 * @param header the field `header` as latin1
 * @param revision from the store's floor to its applied revision
 */
export function rangeReply(
  store: Store,
  query: RangeQuery,
  revision: number,
  header: string,
): Buffer | NoAnswer {
  if (query.exact && !query.countOnly && !query.keysOnly && !query.filtered) {
    const version = store.get(query.start, revision);
    return Buffer.from(version === undefined ? header : header + version.field + ONE, 'latin1');
  }
  const found = evaluate(store, query, revision);
  return typeof found === 'string' ? found : encode(found, header);
}

/** What a reply says beside its header. */
interface Found {
  /** Fields `kvs`. */
  readonly fields: readonly string[];
  readonly more: boolean;
  readonly count: number;
}

function evaluate(store: Store, query: RangeQuery, revision: number): Found | NoAnswer {
  const { start, end, limit, countOnly } = query;
  // Without an order, etcd takes the first keys and then sorts those.
  const all = query.filtered || (query.sorted && query.order !== Order.none);
  const wanted = limit > 0 && !all ? limit + 1 : Number.POSITIVE_INFINITY;
  const found: Version[] = [];
  const count = store.collect(start, end, revision, countOnly ? 0 : wanted, found);
  let versions = query.filtered ? found.filter((version) => passes(query, version)) : found;
  if (query.sorted) {
    const unsorted = sort(versions, query);
    if (unsorted !== undefined) return unsorted;
  }
  const more = limit > 0 && versions.length > limit;
  if (more) versions = versions.slice(0, limit);
  if (!query.keysOnly) return { fields: versions.map(({ field }) => field), more, count };
  if (versions.length > MAX_REWORKED) return 'large';
  // etcd 3.7 leaves out the lease as well, unless it had to read the values.
  if (query.target !== Target.value && versions.some(({ leased }) => leased)) return 'release';
  return { fields: versions.map(({ keyOnlyField }) => keyOnlyField), more, count };
}

function passes({ minMod, maxMod, minCreate, maxCreate }: RangeQuery, version: Version): boolean {
  const { modRevision, createRevision } = version;
  if (maxMod !== 0 && modRevision > maxMod) return false;
  if (minMod !== 0 && modRevision < minMod) return false;
  if (maxCreate !== 0 && createRevision > maxCreate) return false;
  return minCreate === 0 || createRevision >= minCreate;
}

/** Sorts in place; says so where it cannot do it as etcd does. */
function sort(versions: Version[], { order, target }: RangeQuery): NoAnswer | undefined {
  if (versions.length > MAX_REWORKED) return 'large';
  const sign = order === Order.descend ? -1 : 1;
  if (target === Target.value) return sortBy(versions, sign, (version) => version.value);
  if (target === Target.mod) return sortBy(versions, sign, ({ modRevision }) => modRevision);
  if (target === Target.create) return sortBy(versions, sign, ({ createRevision }) => createRevision);
  if (target === Target.version) return sortBy(versions, sign, ({ version }) => version);
  if (sign < 0) versions.reverse();
  return undefined;
}

function sortBy<T extends number | string>(
  versions: Version[],
  sign: number,
  by: (version: Version) => T,
): NoAnswer | undefined {
  const keyed = versions.map((version) => ({ version, by: by(version) }));
  keyed.sort((a, b) => (a.by < b.by ? -sign : a.by > b.by ? sign : 0));
  const ties = keyed.some((one, i) => i > 0 && one.by === keyed[i - 1]?.by);
  if (ties && versions.length > STABLE) return 'unstable';
  for (const [i, { version }] of keyed.entries()) versions[i] = version;
  return undefined;
}

function encode({ fields, more, count }: Found, header: string): Buffer | NoAnswer {
  let end = more ? String.fromCharCode(MORE_TAG, 1) : '';
  if (count > 0) end += String.fromCharCode(COUNT_TAG, ...varint(count));
  const length = fields.reduce((sum, field) => sum + field.length, header.length + end.length);
  if (length > MAX_REPLY_BYTES) return 'large';
  const reply = Buffer.allocUnsafe(length);
  let at = reply.write(header, 'latin1');
  for (const field of fields) at += reply.write(field, at, 'latin1');
  reply.write(end, at, 'latin1');
  return reply;
}

/** An encoded header as the field that every reply begins with, latin1. */
export function headerFieldText(header: Uint8Array): string {
  return String.fromCharCode(HEADER_TAG, ...varint(header.length)) + Buffer.from(header).toString('latin1');
}
