/** Works out a transaction that only reads, on one state of a store, as `server/etcdserver/txn/txn.go` of etcd does. */
import { MAX_REPLY_BYTES, type NoAnswer, rangeReply } from './range-reply.ts';
import type { Store } from './store.ts';
import { CompareResult, CompareTarget, type Comparison, type TxnQuery } from './txn-query.ts';
import { type Version, varint } from './version.ts';

/** Tags: `TxnResponse.succeeded` and `responses`, `ResponseOp.response_range`, `RangeResponse.header`. */
const SUCCEEDED = String.fromCharCode(0x10, 1);
const RESPONSES_TAG = 0x1a;
const RANGE_TAG = 0x0a;
const HEADER_TAG = 0x0a;
const REVISION_TAG = 0x18;

/**
 * The reply, or why there is none.
 * @param header the field `header` as latin1
 * @param revision from the store's floor to its applied revision
 */
export function txnReply(store: Store, query: TxnQuery, revision: number, header: string): Buffer | NoAnswer {
  const succeeded = query.comparisons.every((comparison) => holds(store, revision, comparison));
  // Within a transaction, headers have the revision and nothing else.
  const inner = field(HEADER_TAG, String.fromCharCode(REVISION_TAG, ...varint(revision)));
  let reply = succeeded ? header + SUCCEEDED : header;
  for (const range of succeeded ? query.success : query.failure) {
    const one = rangeReply(store, range, revision, inner);
    if (typeof one === 'string') return one;
    reply += field(RESPONSES_TAG, field(RANGE_TAG, one.toString('latin1')));
    if (reply.length > MAX_REPLY_BYTES) return 'large';
  }
  return Buffer.from(reply, 'latin1');
}

/** Whether a comparison holds for every key of its range at a revision. */
function holds(store: Store, revision: number, comparison: Comparison): boolean {
  const { start, end, target } = comparison;
  const versions: Version[] = [];
  store.collect(start, end, revision, Number.POSITIVE_INFINITY, versions);
  // A missing key has no value, not even an empty one; its numbers are zero.
  if (versions.length === 0) return target !== CompareTarget.value && compare(0, comparison);
  return versions.every((version) => compare(operandOf(version, target), comparison));
}

function operandOf(version: Version, target: number): number | string {
  if (target === CompareTarget.version) return version.version;
  if (target === CompareTarget.create) return version.createRevision;
  if (target === CompareTarget.mod) return version.modRevision;
  return version.value;
}

function compare(left: number | string, { result, operand }: Comparison): boolean {
  if (result === CompareResult.equal) return left === operand;
  if (result === CompareResult.notEqual) return left !== operand;
  return result === CompareResult.greater ? left > operand : left < operand;
}

function field(tag: number, body: string): string {
  return String.fromCharCode(tag, ...varint(body.length)) + body;
}
