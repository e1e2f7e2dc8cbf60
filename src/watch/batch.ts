/**
 * Events that a feed has got together, of one revision or (while etcd catches up) of many, encoded once as the end of
 * a WatchResponse: the header, then the events. What is sent of it to however many watchers shares these bytes.
 */
import { type Header, headerField, withRevision } from '../etcd/header.ts';
import type { EventRecord } from '../etcd/watch-response.ts';

/** An event within a batch. Offsets are into {@link Batch.bytes}; see {@link EventRecord}. */
export interface BatchEvent {
  readonly key: string;
  readonly revision: number;
  readonly isDelete: boolean;
  readonly start: number;
  readonly end: number;
  readonly prevStart: number;
  readonly prevEnd: number;
}

/** What a batch costs beside its bytes, for the bound of the history. */
const OBJECT_BYTES = 320;
const EVENT_BYTES = 120;

/** Immutable. */
export class Batch {
  /** The revision of the first event. */
  readonly first: number;
  /** The revision of the last event. All events of the revisions between are here. */
  readonly revision: number;
  /** How many revisions there are. */
  readonly revisions: number;
  readonly header: Header;
  readonly bytes: Buffer;
  readonly events: readonly BatchEvent[];
  /** The memory it stands for, in bytes. */
  readonly cost: number;
  /** Whether its keys are in order, as those of a deleted range are. */
  readonly inOrder: boolean;
  /** Where the events begin. */
  readonly #eventsStart: number;

  /** @param records events of whole revisions, in order; they are copied where they would keep more memory alive */
  constructor(header: Header, records: readonly EventRecord[]) {
    const head = headerField(header.bytes);
    const length = records.reduce((sum, { start, end }) => sum + end - start, head.length);
    this.bytes = asItCame(head, records, length) ?? copied(head, records, length);
    const events: BatchEvent[] = [];
    let at = head.length;
    let revisions = 0;
    let inOrder = true;
    let key = '';
    for (const record of records) {
      inOrder &&= record.key >= key;
      key = record.key;
      if (events.at(-1)?.revision !== record.revision) revisions++;
      events.push(moved(record, at - record.start));
      at += record.end - record.start;
    }
    this.header = header;
    this.events = events;
    this.first = records[0]?.revision ?? 0;
    this.revision = records.at(-1)?.revision ?? 0;
    this.revisions = revisions;
    this.cost = length + OBJECT_BYTES + records.length * EVENT_BYTES;
    this.inOrder = inOrder;
    this.#eventsStart = head.length;
  }

  /** The position from which on events may have this key or a later one; those before it have none. */
  positionOf(key: string): number {
    if (!this.inOrder) return 0;
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.events[middle] as BatchEvent).key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The encoded header. */
  get head(): Buffer {
    return this.bytes.subarray(0, this.#eventsStart);
  }
}

/** Below this a copy costs less than what it saves. */
const ADOPT_BYTES = 64 << 10;
/** A response is kept as it came if it is at least this share of the memory that it would keep alive. */
const ADOPT_SHARE = 0.8;

/** The bytes of a response that is nothing but this header and these events, where it is large; no byte is copied. */
function asItCame(head: Uint8Array, records: readonly EventRecord[], length: number): Buffer | undefined {
  const [first] = records;
  if (first === undefined || length < ADOPT_BYTES) return undefined;
  const { source } = first;
  const start = first.start - head.length;
  if (length < source.buffer.byteLength * ADOPT_SHARE || start < 0) return undefined;
  let at = first.start;
  for (const record of records) {
    if (record.source !== source || record.start !== at) return undefined;
    at = record.end;
  }
  return source.compare(head, 0, head.length, start, first.start) === 0
    ? source.subarray(start, at)
    : undefined;
}

/** In a buffer of its own: queues keep it by reference, where they would copy a slice of the pool. */
function copied(head: Uint8Array, records: readonly EventRecord[], length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  bytes.set(head, 0);
  let at = head.length;
  for (const { source, start, end } of records) at += source.copy(bytes, at, start, end);
  return bytes;
}

/** An event of which the bytes are copied this much further. */
function moved(record: EventRecord, shift: number): BatchEvent {
  return {
    key: record.key,
    revision: record.revision,
    isDelete: record.isDelete,
    start: record.start + shift,
    end: record.end + shift,
    prevStart: record.prevStart + shift,
    prevEnd: record.prevEnd + shift,
  };
}

/**
 * Makes batches of the events of a response that come after `applied`: one, so that clients get them as etcd sent them.
 * @param apart each revision is one by itself, as if etcd had sent them one after the other
 */
export function batchesOf(
  header: Header,
  events: readonly EventRecord[],
  applied: number,
  apart = false,
): Batch[] {
  const batches: Batch[] = [];
  let records: EventRecord[] = [];
  let last = 0;
  const cut = (): void => {
    if (records.length > 0) batches.push(new Batch(apart ? withRevision(header, last) : header, records));
    records = [];
  };
  for (const event of events) {
    if (event.revision <= applied) continue;
    if (apart && last !== event.revision) cut();
    last = event.revision;
    records.push(event);
  }
  cut();
  return batches;
}
