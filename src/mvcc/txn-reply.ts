/**
 * Works out a transaction that only reads, on one state of a store, as `server/etcdserver/txn/txn.go` of etcd does. All
 * its comparisons and ranges together may cost what one read may.
 */

import { revisionFieldText } from '../etcd/header.ts';
import { SortTarget } from '../etcd/range-request.ts';
import { CompareResult, type Comparison, type TxnQuery } from '../etcd/txn-request.ts';
import { rangeOperationHead, SUCCEEDED_TEXT } from '../etcd/txn-response.ts';
import { join, MAX_REPLY_BYTES, type NoAnswer, pause, rangeParts, type StoreRead } from './range-reply.ts';
import { Walk } from './walk.ts';
import type { Interruptible } from './work.ts';

/**
 * The reply, or why there is none. Has a step of its own before a reply that is not small is made.
 * @param header the field `header` as latin1
 */
export function* txnReply(
  reading: StoreRead,
  query: TxnQuery,
  header: string,
): Interruptible<Buffer | NoAnswer> {
  let succeeded = true;
  for (const comparison of query.comparisons) {
    const holds = yield* holdsFor(reading, comparison);
    if (typeof holds === 'string') return holds;
    succeeded = holds;
    if (!succeeded) break;
  }
  // Within a transaction, headers have the revision and nothing else.
  const inner = revisionFieldText(reading.revision);
  const parts: string[] = [succeeded ? header + SUCCEEDED_TEXT : header];
  let length = 0;
  for (const range of succeeded ? query.success : query.failure) {
    const one: string[] = [inner];
    const problem = yield* rangeParts(reading, range, one);
    if (problem !== undefined) return problem;
    const size = one.reduce((sum, part) => sum + part.length, 0);
    length += size;
    if (length > MAX_REPLY_BYTES) return 'large';
    parts.push(rangeOperationHead(size));
    for (const part of one) parts.push(part);
    const paused = yield* pause(reading);
    if (paused !== undefined) return paused;
  }
  return yield* join(parts, reading.work);
}

/** Whether a comparison holds for every key of its range. */
function* holdsFor(reading: StoreRead, comparison: Comparison): Interruptible<boolean | NoAnswer> {
  const { start, end, target } = comparison;
  const { store, revision, work } = reading;
  const walk = new Walk(start, end, revision, Number.POSITIVE_INFINITY);
  for (let done = false; !done; ) {
    done = store.collect(walk, work);
    for (const version of walk.found) {
      if (target === SortTarget.value) work.read(version.field.length);
      if (!compare(version.attribute(target), comparison)) return false;
      const problem = work.due ? yield* pause(reading) : undefined;
      if (problem !== undefined) return problem;
    }
    walk.found = [];
    const problem = yield* pause(reading);
    if (problem !== undefined) return problem;
  }
  // A missing key has no value, not even an empty one; its numbers are zero.
  return walk.total > 0 || (target !== SortTarget.value && compare(0, comparison));
}

function compare(left: number | string, { result, operand }: Comparison): boolean {
  if (result === CompareResult.equal) return left === operand;
  if (result === CompareResult.notEqual) return left !== operand;
  return result === CompareResult.greater ? left > operand : left < operand;
}
