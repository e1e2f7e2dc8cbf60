/**
 * One watch of a client. It is a cursor: the revision from which on it still wants events. Any feed that covers its
 * range and still knows that revision can serve it, so it can be moved between feeds at any time.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Audience } from './audience.ts';
import type { Feed } from './feed.ts';
import { idField } from './replies.ts';

/** What a watch asks for. */
export interface WatchOptions {
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
}

/** The client's stream, as its watchers see it. */
export interface WatchSink {
  /** The client does not keep up; nothing may be sent until it asks for more. */
  readonly blocked: boolean;
  /** Sends events of a watcher. `tail` is header and events, encoded; `shared` with other watchers or made for it. */
  events(watcher: Watcher, tail: Buffer, shared: boolean): void;
  /** The watcher waits for the client to read. The sink calls `watcher.feed.pump` when it does. */
  lagging(watcher: Watcher): void;
  /** The watch is over: what it needs next was compacted at this revision. */
  compacted(watcher: Watcher, header: Header, revision: number): void;
  progress(watcher: Watcher, header: Header): void;
  /** The whole stream is over. */
  fail(code: number, message: string): void;
}

export class Watcher {
  readonly sink: WatchSink;
  /** Equal ranges are one object while their watchers are on the same feed. */
  range: KeyRange;
  readonly options: WatchOptions;
  /** The number that its client knows it by. */
  readonly id: bigint;
  /** The field `watch_id` of its responses. */
  readonly idField: Uint8Array;
  /** The lowest revision that was not delivered. While the watcher is synced, the feed knows better. */
  next: number;
  /** `header.revision` of what was sent last; a client never sees it go back. */
  seenRevision: number;
  /** It follows the newest events. Otherwise it has to be pumped. */
  synced = false;
  /** It has never been synced: its backlog may be sent in few large responses, as etcd does. */
  fresh = true;
  /** Nothing was sent since the last tick of the progress interval. */
  quiet = true;
  feed: Feed | undefined;
  audience: Audience | undefined;

  constructor(
    sink: WatchSink,
    range: KeyRange,
    options: WatchOptions,
    id: bigint,
    next: number,
    created: number,
  ) {
    this.sink = sink;
    this.range = range;
    this.options = options;
    this.id = id;
    this.idField = idField(id);
    this.next = next;
    this.seenRevision = created;
  }
}
