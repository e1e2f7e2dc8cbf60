/**
 * Makes batches of a response of etcd: at once, or in slices where it is huge. The events are measured first, since their bytes
 * are kept as they came where that costs no memory, and copied otherwise.
 */
import { type Header, headerField, withRevision } from '../etcd/header.ts';
import type { EventRecord, WatchResponse } from '../etcd/watch-response.ts';
import { Batch, type BatchEvent } from './batch.ts';
import { endOfStep, STEP_VISITS, type Steps, visitsOf } from './slices.ts';

/** Below this a copy costs less than what it saves. */
const ADOPT_BYTES = 64 << 10;
/** A response is kept as it came if it is at least this share of the memory that it would keep alive. */
const ADOPT_SHARE = 0.8;

/** What of a response becomes batches. */
export interface DraftSource {
  readonly header: Header;
  readonly events: readonly EventRecord[];
  /** Events up to here are known. */
  readonly applied: number;
  /** Each revision is a batch by itself, as if etcd had sent them one after the other. */
  readonly apart: boolean;
}

/** The batches of a response: one, so that clients get it as etcd sent it, unless its revisions are apart. */
export function batchesOf(
  header: WatchResponse['header'],
  events: readonly EventRecord[],
  applied: number,
  apart = false,
): Batch[] {
  const batches: Batch[] = [];
  const source = { header, events, applied, apart };
  for (let from = firstAfter(source); from < events.length; ) {
    const draft = new BatchDraft(source, from);
    draft.measure(events.length);
    draft.fill(draft.end);
    batches.push(draft.batch);
    from = draft.end;
  }
  return batches;
}

/** The same in slices. */
export function* batchesInSlices(source: DraftSource): Steps<Batch[]> {
  const batches: Batch[] = [];
  for (let from = firstAfter(source); from < source.events.length; ) {
    const draft = new BatchDraft(source, from);
    for (let visits = STEP_VISITS; visits === STEP_VISITS; yield visits) visits = draft.measure(STEP_VISITS);
    while (!draft.isFull) yield draft.fillSome();
    batches.push(draft.batch);
    from = draft.end;
  }
  return batches;
}

/** Where the events begin that are not known yet: those of a response are in the order of their revisions. */
function firstAfter({ events, applied }: DraftSource): number {
  let from = 0;
  while (from < events.length && (events[from] as EventRecord).revision <= applied) from++;
  return from;
}

/** One batch that is being made. */
class BatchDraft {
  /** The position after its last event, as far as it is measured. */
  end: number;
  readonly #source: DraftSource;
  readonly #first: EventRecord;
  /** Whether its events lie one after the other in one buffer. */
  #isOnePiece = true;
  #length = 0;
  #header: Header | undefined;
  #head: Uint8Array = new Uint8Array(0);
  #bytes: Buffer | undefined;
  #isAdopted = false;
  /** The position of the next event to be taken in, and where its bytes are to be. */
  #next: number;
  #at = 0;
  readonly #events: BatchEvent[] = [];
  #revisions = 0;
  #inOrder = true;

  /** @param from the position of its first event, which there is */
  constructor(source: DraftSource, from: number) {
    this.#source = source;
    this.#next = from;
    this.end = from;
    this.#first = source.events[from] as EventRecord;
  }

  /** Looks at so many events more. @returns at how many; fewer than that: it ends there */
  measure(count: number): number {
    const { events, apart } = this.#source;
    const { source, start, revision } = this.#first;
    const begin = this.end;
    const most = Math.min(events.length, begin + count);
    let at = start + this.#length;
    for (; this.end < most; this.end++) {
      const event = events[this.end] as EventRecord;
      if (apart && event.revision !== revision) break;
      if (event.source !== source || event.start !== at) this.#isOnePiece = false;
      this.#length += event.end - event.start;
      at = event.end;
    }
    return this.end - begin;
  }

  /** Whether all of it is there. */
  get isFull(): boolean {
    return this.#bytes !== undefined && this.#next === this.end;
  }

  /** Takes in some events more. @returns the visits that it took */
  fillSome(): number {
    this.#bytes ??= this.#begin();
    const { events } = this.#source;
    const first = this.#next;
    const begin = this.#at;
    if (this.#isAdopted) this.fill(Math.min(this.end, first + STEP_VISITS));
    else this.fill(endOfStep(events, first, this.end));
    return visitsOf(this.#next - first, this.#isAdopted ? 0 : this.#at - begin);
  }

  /** Takes in the events up to a position, which are measured. */
  fill(to: number): void {
    const bytes = this.#bytes ?? this.#begin();
    const { events } = this.#source;
    let key = this.#events.at(-1)?.key ?? '';
    let revision = this.#events.at(-1)?.revision;
    for (; this.#next < to; this.#next++) {
      const event = events[this.#next] as EventRecord;
      this.#inOrder &&= event.key >= key;
      if (event.revision !== revision) this.#revisions++;
      ({ key, revision } = event);
      this.#events.push(moved(event, this.#at - event.start));
      if (this.#isAdopted) this.#at += event.end - event.start;
      else this.#at += event.source.copy(bytes, this.#at, event.start, event.end);
    }
  }

  /** The batch, of which all is there. */
  get batch(): Batch {
    return new Batch(this.#header as Header, {
      bytes: this.#bytes as Buffer,
      events: this.#events,
      headLength: this.#head.length,
      revisions: this.#revisions,
      inOrder: this.#inOrder,
    });
  }

  /** It is measured: decides what its bytes are. In a buffer of its own, queues keep it by reference; of the pool they would copy it. */
  #begin(): Buffer {
    const { header, apart } = this.#source;
    this.#header = apart ? withRevision(header, this.#first.revision) : header;
    this.#head = headerField(this.#header.bytes);
    this.#at = this.#head.length;
    const adopted = this.#adopted();
    this.#isAdopted = adopted !== undefined;
    this.#bytes = adopted ?? Buffer.allocUnsafeSlow(this.#head.length + this.#length);
    if (adopted === undefined) this.#bytes.set(this.#head, 0);
    return this.#bytes;
  }

  /** The bytes of a response that is nothing but this header and these events, where it is large; no byte is copied. */
  #adopted(): Buffer | undefined {
    const { source, start: first } = this.#first;
    const head = this.#head;
    const length = head.length + this.#length;
    const start = first - head.length;
    if (!this.#isOnePiece || length < ADOPT_BYTES || start < 0) return undefined;
    if (length < source.buffer.byteLength * ADOPT_SHARE) return undefined;
    return source.compare(head, 0, head.length, start, first) === 0
      ? source.subarray(start, start + length)
      : undefined;
  }
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
