/**
 * The watchers of one feed and how they get its batches. The synced ones stand in the index and get each batch as it
 * comes. The others walk through the history at the pace at which their clients read.
 */

import { withRevision } from '../etcd/header.ts';
import { Code } from '../rpc/status.ts';
import { variantOf } from './audience.ts';
import type { Batch } from './batch.ts';
import { deliver, deliverBacklog } from './delivery.ts';
import type { Feed } from './feed.ts';
import type { Watcher } from './watcher.ts';
import { WatcherIndex } from './watcher-index.ts';

/** Whether a watcher has had everything up to a revision, and may be told so. */
export function isAt(watcher: Watcher, revision: number): boolean {
  return (
    watcher.synced &&
    !watcher.sink.blocked &&
    revision >= watcher.next - 1 &&
    revision >= watcher.seenRevision
  );
}

/**
 * What a client hears when etcd refuses to go on with a watch that it has had, because its token is worth nothing any
 * more. Directly, the client's own stream would have broken; it signs in again and resumes, or is refused by etcd then.
 */
const refusal = (reason: string): string =>
  `etcd-connect-proxy: etcd does not go on with the watch: ${reason}`;

export class Cursors {
  readonly #feed: Feed;
  /** The watchers whose clients do not keep up; the others are known to the index only. */
  readonly #behind = new Set<Watcher>();
  readonly #index = new WatcherIndex();
  #synced = 0;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** How many watchers the feed has. */
  get size(): number {
    return this.#behind.size + this.#synced;
  }

  /** Whether there are watchers and none keeps up. */
  get allLagging(): boolean {
    return this.#behind.size > 0 && this.#synced === 0;
  }

  /** The lowest revision that some watcher still needs. */
  least(): number {
    let least = this.#feed.applied + 1;
    for (const { next } of this.#behind) if (next < least) least = next;
    return least;
  }

  /** Takes a watcher that the feed can serve, and sends it what it has missed. */
  attach(watcher: Watcher): void {
    if (this.size === 0) this.#feed.context.used(this.#feed);
    watcher.feed = this.#feed;
    watcher.synced = false;
    this.#index.enter(watcher, variantOf(watcher.options, this.#feed.prevKv && !watcher.options.prevKv));
    this.pump(watcher);
  }

  /** Lets a watcher go; `next` says from where another feed has to go on. */
  detach(watcher: Watcher): void {
    if (watcher.feed !== this.#feed) return;
    if (watcher.synced) {
      this.#unsync(watcher);
      watcher.next = Math.max(watcher.next, this.#feed.applied + 1);
    }
    this.#behind.delete(watcher);
    this.#index.leave(watcher);
    watcher.feed = undefined;
  }

  /** Sends a watcher that is behind as much as its client takes. */
  pump(watcher: Watcher): void {
    if (watcher.synced) return;
    const feed = this.#feed;
    const { history } = feed;
    if (watcher.next < history.floor) {
      feed.context.replace(watcher);
      return;
    }
    let position = history.find(watcher.next);
    while (position < history.length) {
      if (watcher.sink.blocked) {
        this.#lag(watcher);
        feed.flow();
        return;
      }
      position += deliverBacklog(watcher, history, position, feed.context);
      if (watcher.feed !== feed) return; // its stream ended with what was sent
    }
    if (feed.terminal !== undefined) this.#finish(watcher);
    else this.#sync(watcher);
  }

  /** Gives a new batch to the synced watchers that it is for. */
  deliver(batch: Batch): void {
    const { context, applied } = this.#feed;
    let deliveries = 0;
    for (const audience of this.#index.match(batch)) {
      const tail = audience.encode(batch);
      if (tail === undefined) continue;
      for (const watcher of audience.watchers) {
        if (batch.revision < watcher.next) continue;
        if (watcher.sink.blocked) {
          this.#unsync(watcher);
          watcher.next = Math.max(watcher.next, applied + 1);
          this.#lag(watcher);
        } else {
          deliver(watcher, batch, tail, audience);
          deliveries++;
        }
      }
    }
    context.stats.delivered(deliveries);
  }

  /** Tells the synced watchers that want it, and had no event since the last time, how far the feed has come. */
  notifyProgress(): void {
    const { announced, header } = this.#feed;
    for (const watcher of this.#behind) watcher.quiet = true;
    for (const watcher of this.#index.synced()) {
      if (!watcher.options.progressNotify) continue;
      const { quiet } = watcher;
      watcher.quiet = true;
      if (quiet && isAt(watcher, announced)) watcher.sink.progress(watcher, withRevision(header, announced));
    }
  }

  /** Moves the watchers that `target` can serve to it, once it is known to be at the same store. */
  moveTo(target: Feed): void {
    const { applied, header } = this.#feed;
    if (target.state !== 'live' || target.header.cluster !== header.cluster) return;
    for (const watcher of [...this.#behind, ...this.#index.synced()]) {
      // Moving one of them may end its stream, and others on it.
      if (watcher.feed !== this.#feed) continue;
      const next = watcher.synced ? Math.max(watcher.next, applied + 1) : watcher.next;
      if (!target.serves(next)) continue;
      this.detach(watcher);
      target.cursors.attach(watcher);
    }
    if (!this.#feed.used) this.#feed.context.unused(this.#feed);
  }

  /** The feed has ended: tells the watchers that have had all of it. */
  finishSynced(): void {
    // The end of one watcher may be that of its stream, and of others on it.
    for (const watcher of [...this.#index.synced()])
      if (watcher.synced && watcher.feed === this.#feed) this.#finish(watcher);
  }

  #finish(watcher: Watcher): void {
    const { terminal, context } = this.#feed;
    this.detach(watcher);
    watcher.next = Math.max(watcher.next, this.#feed.applied + 1);
    if (terminal?.kind === 'status') watcher.sink.fail(terminal.status.code, terminal.status.message);
    else if (terminal?.kind === 'canceled') watcher.sink.fail(Code.UNAVAILABLE, refusal(terminal.reason));
    else if (terminal?.kind === 'compacted' && watcher.next < terminal.revision)
      watcher.sink.compacted(watcher, terminal.header, terminal.revision);
    else context.place(watcher, this.#feed.header);
    if (!this.#feed.used) context.unused(this.#feed);
  }

  #sync(watcher: Watcher): void {
    this.#behind.delete(watcher);
    watcher.audience?.watchers.add(watcher);
    watcher.synced = true;
    watcher.fresh = false;
    this.#synced++;
    if (this.#synced === 1) this.#feed.flow();
  }

  #unsync(watcher: Watcher): void {
    watcher.audience?.watchers.delete(watcher);
    watcher.synced = false;
    this.#synced--;
  }

  #lag(watcher: Watcher): void {
    this.#behind.add(watcher);
    watcher.sink.lagging(watcher);
  }
}
