/**
 * Works out a Range on a store, as `server/etcdserver/txn/range.go` of etcd does, and puts the reply together from the
 * bytes that etcd sent for each key. Where releases of etcd differ, or the outcome hangs on how Go sorts, it has no
 * answer and etcd is asked. All of it is done in steps.
 */

import type { RangeQuery } from '../etcd/range-query.ts';
import { SortOrder, SortTarget } from '../etcd/range-request.ts';
import { countText, MORE_TEXT } from '../etcd/range-response.ts';
import { LARGE_REPLY_BYTES } from '../rpc/contract.ts';
import { type Keyed, sorted } from './sort.ts';
import type { Store } from './store.ts';
import type { Version } from './version.ts';
import { Walk } from './walk.ts';
import type { Interruptible, Work } from './work.ts';

/** Go's sort keeps the order of equal elements for at most this many; above that the order cannot be known. */
const STABLE = 6;
/** More keys than these are neither sorted nor rewritten here. */
const MAX_REWORKED = 20_000;
/** Replies above this are left to etcd. Bytes. */
export const MAX_REPLY_BYTES = 64 << 20;

/** A whole reply's end: one key. */
const ONE = countText(1);

/** Why there is no answer; `work`: it would cost too much, `revision`: the past that it is read from is forgotten. */
export type NoAnswer = 'unstable' | 'large' | 'release' | 'work' | 'revision';

/** A read in progress, on a store whose floor is at its revision or below. */
export interface StoreRead {
  readonly store: Store;
  /** From the store's floor to its applied revision. */
  readonly revision: number;
  readonly work: Work;
}

/** Whether a read is for one key as it is, which needs no steps. */
export function isPlain({ namesOneKey, countOnly, keysOnly, filtered }: RangeQuery): boolean {
  return namesOneKey && !countOnly && !keysOnly && !filtered;
}

/** The reply to a plain read, made at once; `undefined`: it is large, and there is no room. */
export function plainReply(
  { store, revision, work }: StoreRead,
  query: RangeQuery,
  header: string,
  outlet: { readonly room: boolean },
): Buffer | undefined {
  const version = store.get(query.start, revision, work);
  if (version === undefined) return Buffer.from(header, 'latin1');
  if (version.field.length > LARGE_REPLY_BYTES && !outlet.room) return undefined;
  work.copy(version.field.length);
  return Buffer.from(header + version.field + ONE, 'latin1');
}

/**
 * The reply, or why there is none. Has a step of its own before a reply that is not small is made.
 * @param header the field `header` as latin1
 */
export function* rangeReply(
  reading: StoreRead,
  query: RangeQuery,
  header: string,
): Interruptible<Buffer | NoAnswer> {
  const parts: string[] = [header];
  const problem = yield* rangeParts(reading, query, parts);
  return problem ?? (yield* join(parts, reading.work));
}

/** Adds what a reply says behind its header. */
export function* rangeParts(
  reading: StoreRead,
  query: RangeQuery,
  parts: string[],
): Interruptible<NoAnswer | undefined> {
  const { store, revision, work } = reading;
  if (isPlain(query)) {
    const version = store.get(query.start, revision, work);
    if (version !== undefined) parts.push(version.field, ONE);
    return undefined;
  }
  const { start, end, limit, countOnly } = query;
  // Without an order, etcd takes the first keys and then sorts those.
  const all = query.filtered || (query.sorted && query.order !== SortOrder.none);
  const wanted = limit > 0 && !all ? limit + 1 : Number.POSITIVE_INFINITY;
  const walk = new Walk(start, end, revision, countOnly ? 0 : wanted);
  let versions: Version[] = [];
  for (let done = false; !done; ) {
    done = store.collect(walk, work);
    if (query.filtered) {
      for (const version of walk.found) if (passes(query, version)) versions.push(version);
      walk.found = [];
    }
    const problem = done ? undefined : yield* pause(reading);
    if (problem !== undefined) return problem;
  }
  if (!query.filtered) versions = walk.found;
  if (query.sorted) {
    const inOrder = yield* inOrderOf(versions, query, work);
    if (typeof inOrder === 'string') return inOrder;
    versions = inOrder;
  }
  const more = limit > 0 && versions.length > limit;
  if (more) versions.length = limit;
  const problem = yield* fieldsOf(versions, query, parts, work);
  if (more) parts.push(MORE_TEXT);
  if (walk.total > 0) parts.push(countText(walk.total));
  return problem;
}

/** Lets others have their turn, after which the read may have become impossible. */
export function* pause({ store, revision, work }: StoreRead): Interruptible<NoAnswer | undefined> {
  if (work.spent) return 'work';
  if (work.due) yield;
  return revision < store.floor ? 'revision' : undefined;
}

function passes({ minMod, maxMod, minCreate, maxCreate }: RangeQuery, version: Version): boolean {
  const { modRevision, createRevision } = version;
  if (maxMod !== 0 && modRevision > maxMod) return false;
  if (minMod !== 0 && modRevision < minMod) return false;
  if (maxCreate !== 0 && createRevision > maxCreate) return false;
  return minCreate === 0 || createRevision >= minCreate;
}

/** Sorts; says so where it cannot do it as etcd does. */
function* inOrderOf(
  versions: Version[],
  { order, target }: RangeQuery,
  work: Work,
): Interruptible<Version[] | NoAnswer> {
  if (versions.length > MAX_REWORKED) return 'large';
  const sign = order === SortOrder.descend ? -1 : 1;
  if (target === SortTarget.key) return sign < 0 ? versions.reverse() : versions;
  const keyed: Keyed<Version>[] = [];
  for (const item of versions) {
    if (target === SortTarget.value) work.read(item.field.length);
    keyed.push({ item, by: item.attribute(target) });
    if (work.due) yield;
    if (work.spent) return 'work';
  }
  const result = yield* sorted(keyed, sign, work);
  if (work.spent) return 'work';
  const ties = result.some((one, i) => i > 0 && one.by === result[i - 1]?.by);
  if (ties && versions.length > STABLE) return 'unstable';
  return result.map(({ item }) => item);
}

/** Adds the fields `kvs`. */
function* fieldsOf(
  versions: readonly Version[],
  { keysOnly, target }: RangeQuery,
  parts: string[],
  work: Work,
): Interruptible<NoAnswer | undefined> {
  if (keysOnly && versions.length > MAX_REWORKED) return 'large';
  for (const version of versions) {
    if (work.due) yield;
    if (!keysOnly) {
      work.visits++;
      parts.push(version.field);
      continue;
    }
    work.read(3 * version.field.length);
    if (work.spent) return 'work';
    // etcd 3.7 leaves out the lease as well, unless it had to read the values.
    if (target !== SortTarget.value && version.leased) return 'release';
    parts.push(version.keyOnlyField);
  }
  return undefined;
}

/** Puts a reply together. */
export function* join(parts: readonly string[], work: Work): Interruptible<Buffer | NoAnswer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > MAX_REPLY_BYTES) return 'large';
  if (length > LARGE_REPLY_BYTES) yield;
  const reply = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const part of parts) {
    at += reply.write(part, at, 'latin1');
    work.copy(part.length);
    if (work.due) yield;
  }
  return reply;
}
