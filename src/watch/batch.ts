/**
 * Events that a feed has got together, of one revision or (while etcd catches up) of many, encoded once as the end of
 * a WatchResponse: the header, then the events. What is sent of it to however many watchers shares these bytes.
 */
import type { Header } from '../etcd/header.ts';
import type { EventRecord } from '../etcd/watch-response.ts';
import { isHuge, visitsOf } from './slices.ts';

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

/** What a batch is made of. */
export interface BatchContent {
  /** Header and events. */
  readonly bytes: Buffer;
  readonly events: readonly BatchEvent[];
  /** Where the events begin. */
  readonly headLength: number;
  readonly revisions: number;
  readonly inOrder: boolean;
}

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
  readonly headLength: number;
  /** Whether it is told in slices, of which each is in a turn of its own. */
  readonly isHuge: boolean;

  constructor(header: Header, { bytes, events, headLength, revisions, inOrder }: BatchContent) {
    this.header = header;
    this.bytes = bytes;
    this.events = events;
    this.first = events[0]?.revision ?? 0;
    this.revision = events.at(-1)?.revision ?? 0;
    this.revisions = revisions;
    this.cost = bytes.length + OBJECT_BYTES + events.length * EVENT_BYTES;
    this.inOrder = inOrder;
    this.headLength = headLength;
    this.isHuge = isHuge(events.length, bytes.length);
  }

  /** What it costs to tell it to somebody. */
  get visits(): number {
    return visitsOf(this.events.length, this.bytes.length);
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
    return this.bytes.subarray(0, this.headLength);
  }
}
