/**
 * One watch of a client. It is a cursor: the revision from which on it still wants events. Any feed that covers its
 * range and still knows that revision can serve it, so it can be moved between feeds at any time. Its position is written
 * here and nowhere else.
 */

import { type Header, headerField, withRevision } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { idField } from '../etcd/watch-reply.ts';
import type { WatchOptions } from '../etcd/watch-request.ts';
import type { Audience } from './audience.ts';
import type { Batch } from './batch.ts';
import type { Selection } from './selection.ts';

/** The client's stream, as its watchers see it. */
export interface WatchSink {
  /** The client does not keep up; nothing may be sent until it asks for more. */
  readonly blocked: boolean;
  readonly output: {
    /** A large response is being made for one of the watchers: nothing is sent until {@link onMade}. */
    onMaking(): void;
    /** It is there, or not wanted any more. */
    onMade(): void;
  };
  /** Sends events of a watcher. `tail` is header and events, encoded; `shared` with other watchers or made for it. */
  sendEvents(watcher: Watcher, tail: Buffer, shared: boolean): void;
  sendProgress(watcher: Watcher, header: Header): void;
  /** Ends the whole stream. */
  fail(code: number, message: string): void;
  /** The watcher could not be placed, moved or told: ends the whole stream, so that its client comes back. */
  onFault(error: unknown): void;
  /** The watcher waits for the client to read; then the sink has it pumped by its feed. */
  onLagging(watcher: Watcher): void;
  /** The watch is over: what it needs next was compacted at this revision. */
  onCompacted(watcher: Watcher, header: Header, revision: number): void;
  /** The watch is over: etcd does not let its client watch the range any more. */
  onDenied(watcher: Watcher, reason: string): void;
}

/** The leave by which a watcher rides on feeds that are not its client's own. */
export interface WatcherPermit {
  /** The watcher gets nothing before etcd has said again that it may: {@link Watcher.release}. */
  suspend(watcher: Watcher): void;
  /** The watcher is gone. */
  leave(watcher: Watcher): void;
}

/** The feed that a watcher is on, as the watcher and its client's stream see it. */
export interface WatcherFeed {
  /** The synced watchers have had everything up to here. */
  readonly applied: number;
  /** Up to here watchers may be told that they have everything. */
  readonly announced: number;
  /** etcd's latest header on it. */
  readonly header: Header;
  readonly progress: {
    /** Calls back when the feed has come as far as etcd is now, and at least to a revision, or when that cannot be known. */
    ask(atLeast: number, done: () => void, failed: (error: unknown) => void): void;
  };
  /** Sends a watcher that is behind as much as its client takes. */
  pump(watcher: Watcher): void;
  /** Sends a watcher nothing any more, until it is released. */
  hold(watcher: Watcher): void;
  /** Lets some of its watchers go for good. */
  leave(watchers: readonly Watcher[]): void;
}

/** What may be so of a watcher, as bits of one number: most of very many watchers are idle, and each field takes memory. */
const Is = { held: 1, synced: 2, mergesBacklog: 4, quiet: 8 } as const;

export class Watcher {
  readonly sink: WatchSink;
  readonly options: WatchOptions;
  /** The number that its client knows it by. */
  readonly id: bigint;
  /** The field `watch_id` of its responses. */
  readonly idField: Uint8Array;
  /** Where it rides on feeds that are not its client's own. */
  permit: WatcherPermit | undefined;
  #range: KeyRange;
  /** The revision after the last one that it was sent, or passed over; at first the one that its client named. */
  #unsent: number;
  #sentRevision: number;
  #state: number = Is.mergesBacklog | Is.quiet;
  #feed: WatcherFeed | undefined;
  #audience: Audience<Watcher> | undefined;

  constructor(
    sink: WatchSink,
    range: KeyRange,
    options: WatchOptions,
    id: bigint,
    next: number,
    created: number,
  ) {
    this.sink = sink;
    this.#range = range;
    this.options = options;
    this.id = id;
    this.idField = idField(id);
    this.#unsent = next;
    this.#sentRevision = created;
  }

  /** Equal ranges are one object while their watchers are on the same feed. */
  get range(): KeyRange {
    return this.#range;
  }

  /** The lowest revision that it still needs. While it is synced, it has had all that its feed has applied. */
  get next(): number {
    const feed = this.#feed;
    return this.synced && feed !== undefined ? Math.max(this.#unsent, feed.applied + 1) : this.#unsent;
  }

  /** `header.revision` of what it was told last, with events or of its progress; a client never sees it go back. */
  get sentRevision(): number {
    return this.#sentRevision;
  }

  /** It gets nothing, and is not synced, until its permit says so. */
  get held(): boolean {
    return (this.#state & Is.held) !== 0;
  }

  set held(on: boolean) {
    this.#state = on ? this.#state | Is.held : this.#state & ~Is.held;
  }

  /** It follows the newest events. Otherwise it has to be pumped. */
  get synced(): boolean {
    return (this.#state & Is.synced) !== 0;
  }

  /** It has not been synced since it was placed: its backlog may be sent in few large responses, as etcd does. */
  get mergesBacklog(): boolean {
    return (this.#state & Is.mergesBacklog) !== 0;
  }

  get feed(): WatcherFeed | undefined {
    return this.#feed;
  }

  get audience(): Audience<Watcher> | undefined {
    return this.#audience;
  }

  /** It is on a feed, and not synced yet. */
  enter(feed: WatcherFeed, audience: Audience<Watcher>): void {
    this.#feed = feed;
    this.#audience = audience;
    this.#range = audience.range;
  }

  /** It is on no feed any more; it must not be synced. */
  leave(): void {
    this.#feed = undefined;
    this.#audience = undefined;
  }

  /** It has had all that its feed has applied. */
  hadAll(): void {
    this.#unsent = Math.max(this.#unsent, (this.#feed?.applied ?? 0) + 1);
  }

  /** It has had everything up to now, and follows. */
  sync(): void {
    this.#state = (this.#state | Is.synced) & ~Is.mergesBacklog;
  }

  /** It follows no longer: what comes next is in the history for it. */
  unsync(): void {
    this.hadAll();
    this.#state &= ~Is.synced;
  }

  /** It is held no longer: goes on from where it was. */
  release(): void {
    this.held = false;
    this.#feed?.pump(this);
  }

  /** It needs a feed that goes back further, as a new watch does. */
  startOver(): void {
    this.#state |= Is.mergesBacklog;
  }

  /** Whether it has had everything up to a revision, and may be told so. */
  isAt(revision: number): boolean {
    return (
      this.synced && !this.sink.blocked && revision >= this.#unsent - 1 && revision >= this.#sentRevision
    );
  }

  /** Whether it has had all that its feed has, wants what comes next, and its client takes that. */
  get isInStep(): boolean {
    if (!this.synced || this.sink.blocked) return false;
    return this.#unsent - 1 <= (this.#feed?.applied ?? 0);
  }

  /** Tells its client so; {@link isAt} has to say that it may be told. */
  sendProgress(header: Header): void {
    this.onTold(header.revision);
    this.sink.sendProgress(this, header);
  }

  /** Its client was told so of all watches of its stream. */
  onTold(revision: number): void {
    this.#sentRevision = Math.max(this.#sentRevision, revision);
  }

  /** Whether all of a batch lies before what its client wants. */
  isBeyond(batch: Batch): boolean {
    return batch.revision < this.#unsent;
  }

  /** Nothing in a batch is for it. */
  pass(batch: Batch): void {
    this.#unsent = batch.revision + 1;
  }

  /** Whether it can have a batch as all of its audience get it: all of it, and no earlier revision than it was told. */
  takes({ first, header }: Batch): boolean {
    return this.#unsent <= first && header.revision >= this.#sentRevision;
  }

  /** Sends it a batch as the bytes that all of its audience get. @returns `false` where it needs others, and got none */
  sendShared(batch: Batch, tail: Buffer): boolean {
    if (!this.takes(batch)) return false;
    this.sendOwn(batch, tail, true);
    return true;
  }

  /** Sends it events of its own choice, up to and including the last of `batch`. */
  sendSelected(batch: Batch, selection: Selection): void {
    if (selection.count === 0) this.pass(batch);
    else this.sendOwn(batch, selection.encode(this.headOf(batch)));
  }

  /** Sends it what was made for it alone, behind its {@link headOf} the batch, or what is `shared` and takes it no further back. */
  sendOwn(batch: Batch, tail: Buffer, shared = false): void {
    this.#unsent = batch.revision + 1;
    this.#state &= ~Is.quiet;
    this.onTold(batch.header.revision);
    this.sink.sendEvents(this, tail, shared);
  }

  /** The encoded header of what it gets of a batch, which does not take its revision back. */
  headOf({ header }: Batch): Uint8Array {
    return headerField(withRevision(header, Math.max(this.#sentRevision, header.revision)).bytes);
  }

  /** The progress interval is over. @returns whether nothing was sent in it */
  onTick(): boolean {
    const quiet = (this.#state & Is.quiet) !== 0;
    this.#state |= Is.quiet;
    return quiet;
  }
}

/** Watchers by the feed that each is on; those that are on none are left out. */
export function byFeed(watchers: Iterable<Watcher>): Map<WatcherFeed, Watcher[]> {
  const found = new Map<WatcherFeed, Watcher[]>();
  for (const watcher of watchers) {
    const { feed } = watcher;
    if (feed === undefined) continue;
    const others = found.get(feed);
    if (others === undefined) found.set(feed, [watcher]);
    else others.push(watcher);
  }
  return found;
}
