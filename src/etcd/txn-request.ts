/**
 * A transaction that only reads, as a mirror understands it: comparisons and ranges, none at a past revision and none
 * nested (etcd puts nested ones through its log like writes). Everything else is left to etcd.
 */

import { endOf, NO_END } from './key-range.ts';
import { type RangeQuery, readRange } from './range-query.ts';
import { SortTarget } from './range-request.ts';
import { MalformedMessage, Scanner } from './scanner.ts';
import { OperationTag, TxnTag } from './txn-tags.ts';

/** `Compare.CompareResult`. */
export const CompareResult = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const;

/** Operations that every etcd takes in one transaction; it refuses more than it is told to. */
const MAX_OPERATIONS = 128;

/** Numbers of more octets are negative or padded. */
const MAX_OCTETS = 9;

/** Tags of the fields of `Compare`. */
const Tag = {
  result: 0x08,
  target: 0x10,
  key: 0x1a,
  version: 0x20,
  createRevision: 0x28,
  modRevision: 0x30,
  value: 0x3a,
  rangeEnd: 0x202,
} as const;

/**
 * For each `Compare.CompareTarget`, what ranges are sorted by under another number, and the field that has what it is compared
 * with. `LEASE`, the next one, is left to etcd.
 */
const TARGETS: readonly { readonly target: number; readonly tag: number }[] = [
  { target: SortTarget.version, tag: Tag.version },
  { target: SortTarget.create, tag: Tag.createRevision },
  { target: SortTarget.mod, tag: Tag.modRevision },
  { target: SortTarget.value, tag: Tag.value },
];

/** One comparison: of all keys in `[start, end)`. */
export interface Comparison {
  readonly start: string;
  readonly end: string;
  /** As {@link SortTarget} has it. */
  readonly target: number;
  readonly result: number;
  /** A number, or for values latin1. */
  readonly operand: number | string;
}

/** A transaction that only reads: what it compares, and the ranges that it then reads. */
export class TxnQuery {
  readonly comparisons: Comparison[] = [];
  readonly success: RangeQuery[] = [];
  readonly failure: RangeQuery[] = [];
  /** The least range that has all keys that are looked at. */
  start = NO_END;
  end = '';
  readonly revision = 0;
  readonly rangeEnd = '';

  /** As etcd has it: only when every range is. */
  get serializable(): boolean {
    return (
      this.success.every(({ serializable }) => serializable) &&
      this.failure.every(({ serializable }) => serializable)
    );
  }

  /** Takes note that a range is looked at. */
  reach({ start, end }: { readonly start: string; readonly end: string }): void {
    if (start < this.start) this.start = start;
    if (end > this.end) this.end = end;
  }
}

/** Reads a request; `undefined`: etcd has to be asked. */
export function readTxnQuery(request: Uint8Array): TxnQuery | undefined {
  try {
    return read(new Scanner(request));
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}

function read(scan: Scanner): TxnQuery | undefined {
  const query = new TxnQuery();
  while (!scan.done) {
    const tag = scan.varint();
    if (tag !== TxnTag.compare && tag !== TxnTag.success && tag !== TxnTag.failure) return undefined;
    const end = scan.delimited();
    const part = new Scanner(scan.bytes, scan.pos, end);
    scan.pos = end;
    if (tag === TxnTag.compare) {
      const comparison = readComparison(part);
      if (comparison === undefined) return undefined;
      query.comparisons.push(comparison);
      query.reach(comparison);
    } else {
      const range = readOperation(part);
      if (range === undefined || range.revision !== 0) return undefined;
      (tag === TxnTag.success ? query.success : query.failure).push(range);
      query.reach(range);
    }
    if (mostOf(query) > MAX_OPERATIONS) return undefined;
  }
  return mostOf(query) > 0 ? query : undefined;
}

function mostOf({ comparisons, success, failure }: TxnQuery): number {
  return Math.max(comparisons.length, success.length, failure.length);
}

/** The range of a `RequestOp` that has nothing else. */
function readOperation(scan: Scanner): RangeQuery | undefined {
  if (scan.done || scan.varint() !== OperationTag.range) return undefined;
  const end = scan.delimited();
  return end === scan.end ? readRange(scan.bytes, scan.pos, end) : undefined;
}

function readComparison(scan: Scanner): Comparison | undefined {
  const numbers = new Map<number, number>();
  const texts = new Map<number, string>();
  while (!scan.done) {
    const tag = scan.varint();
    if (numbers.has(tag) || texts.has(tag)) return undefined;
    if (tag === Tag.key || tag === Tag.rangeEnd || tag === Tag.value) {
      const end = scan.delimited();
      texts.set(tag, scan.bytes.toString('latin1', scan.pos, end));
      scan.pos = end;
    } else if (tag === Tag.result || tag === Tag.target || isOperand(tag)) {
      const from = scan.pos;
      numbers.set(tag, scan.varint());
      if (scan.pos - from > MAX_OCTETS) return undefined;
    } else return undefined;
  }
  const compared = TARGETS[numbers.get(Tag.target) ?? 0];
  const result = numbers.get(Tag.result) ?? 0;
  if (compared === undefined || result > CompareResult.notEqual) return undefined;
  const { target, tag } = compared;
  // What is compared with belongs to the target; where it is left out, etcd takes nothing.
  if (TARGETS.some((other) => other.tag !== tag && (numbers.has(other.tag) || texts.has(other.tag))))
    return undefined;
  const operand = target === SortTarget.value ? (texts.get(tag) ?? '') : (numbers.get(tag) ?? 0);
  const start = texts.get(Tag.key) ?? '';
  const rangeEnd = texts.get(Tag.rangeEnd);
  // An empty `range_end` that is written out is not the same as none.
  if (rangeEnd === '') return undefined;
  const end = endOf(start, rangeEnd ?? '');
  return start !== '' && start < end ? { start, end, target, result, operand } : undefined;
}

function isOperand(tag: number): boolean {
  return TARGETS.some((target) => target.tag === tag);
}
