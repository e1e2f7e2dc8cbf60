/**
 * The watchers of one feed and how they get its batches. The synced ones stand in the index and get each batch as it
 * comes. The others walk through the history at the pace at which their clients read.
 */
import { withRevision } from '../etcd/header.ts';
import { Code } from '../rpc/status.ts';
import { type Audience, variantOf } from './audience.ts';
import type { Batch } from './batch.ts';
import { type BacklogBounds, deliver, deliverBacklog } from './delivery.ts';
import type { HeldBytes } from './held-bytes.ts';
import type { History } from './history.ts';
import { LaggingWatchers } from './lagging-watchers.ts';
import { type LeftFeed, Moving } from './moving.ts';
import { Renderings, type RenderingsBounds } from './renderings.ts';
import type { Steps } from './slices.ts';
import type { TargetFeed } from './target-feed.ts';
import { notGoneOnWith, type Terminal } from './terminal.ts';
import type { Watcher } from './watcher.ts';
import { WatcherIndex } from './watcher-index.ts';

/** The feed whose watchers they are. */
export interface CursorsOwner extends LeftFeed {
  readonly prevKv: boolean;
  readonly history: History;
  /** Why it has ended, if etcd has ended it. */
  readonly terminal: Terminal | undefined;
  /** Is to look when a watcher begins to keep up, or to lag, and when none waits for what is made any more. */
  readonly flow: { look(): void; onMade(): void };
  /** The feed has forgotten what the watcher needs next. */
  onOutrun(watcher: Watcher): void;
  /** The watcher has had all of a feed that has ended, and is on none now. */
  onStranded(watcher: Watcher): void;
}

/** What all cursors share. */
export interface CursorsBounds extends RenderingsBounds, BacklogBounds {
  /** What is known of batches that watchers have missed. */
  readonly missed: HeldBytes;
}

export class Cursors {
  readonly #feed: CursorsOwner;
  readonly #bounds: CursorsBounds;
  /** Those that do not follow the newest events; the others are known to the index only. */
  readonly #behind = new LaggingWatchers();
  readonly #index: WatcherIndex;
  /** What those wait for that have a huge batch before them. */
  readonly #renderings: Renderings;
  readonly #moving: Moving;
  #synced = 0;

  constructor(feed: CursorsOwner, bounds: CursorsBounds) {
    this.#feed = feed;
    this.#index = new WatcherIndex(feed.history, bounds.missed);
    this.#bounds = bounds;
    this.#renderings = new Renderings(this, bounds);
    this.#moving = new Moving(feed, this);
  }

  /** How many watchers the feed has. */
  get size(): number {
    return this.#behind.size + this.#synced;
  }

  /** Whether there are watchers and none keeps up, nor will as soon as it has what is made for it. */
  get allLagging(): boolean {
    return this.#behind.size > 0 && this.#synced === 0 && this.#renderings.size === 0;
  }

  /** Those that do not follow the newest events. */
  behind(): Iterable<Watcher> {
    return this.#behind.all();
  }

  /** Those that do. */
  synced(): Iterable<Watcher> {
    return this.#synced > 0 ? this.#index.synced() : [];
  }

  /** The lowest revision that some watcher still needs. */
  least(): number {
    return Math.min(this.#feed.applied + 1, this.#behind.least);
  }

  /** Takes a watcher that the feed can serve, and sends it what it has missed. */
  attach(watcher: Watcher): void {
    const { range, options } = watcher;
    const variant = variantOf(options, this.#feed.prevKv && !options.prevKv);
    watcher.enter(this.#feed, this.#index.enter(range, variant));
    const { history, terminal } = this.#feed;
    // Most have missed nothing. A place among those behind that is taken and left at once would cost a table each time.
    if (!watcher.held && terminal === undefined && history.endsBefore(watcher.next)) this.#sync(watcher);
    else {
      this.#behind.set(watcher);
      this.pump(watcher);
    }
  }

  /**
   * Lets a watcher go, which knows from where another feed has to go on. It is off its feed before its audience is told, so
   * that no fault has that happen twice.
   */
  detach(watcher: Watcher): void {
    if (watcher.feed !== this.#feed) return;
    const audience = watcher.audience as Audience<Watcher>;
    if (watcher.synced) this.#unsync(watcher);
    this.#behind.delete(watcher);
    this.#renderings.leave(watcher);
    watcher.leave();
    this.#index.leave(audience);
  }

  /** Sends a watcher that is behind as much as its client takes. */
  pump(watcher: Watcher): void {
    if (watcher.synced || watcher.held || this.#renderings.has(watcher)) return;
    const feed = this.#feed;
    const { history } = feed;
    if (watcher.next < history.floor) {
      feed.onOutrun(watcher);
      return;
    }
    for (let position = this.#seek(watcher); position < history.length; position = this.#seek(watcher)) {
      if (watcher.sink.blocked) {
        this.#hold(watcher);
        return;
      }
      const batch = history.at(position) as Batch;
      if (batch.isHuge) {
        this.#renderings.wait(watcher, batch);
        return;
      }
      deliverBacklog(watcher, history, position, this.#bounds);
      if (watcher.feed !== feed) return; // its stream ended with what was sent
    }
    if (feed.terminal !== undefined) this.#finish(watcher, feed.terminal);
    else this.#sync(watcher);
  }

  /** Sends a watcher nothing any more until it is released; what comes meanwhile is in the history for it. */
  hold(watcher: Watcher): void {
    watcher.held = true;
    this.#renderings.leave(watcher);
    if (watcher.synced) this.#fallBehind(watcher, false);
  }

  /** Holds the watchers that are here by etcd's leave, and has etcd asked for it again. */
  suspend(): void {
    for (const watcher of [...this.behind(), ...this.synced()]) {
      if (watcher.permit === undefined) continue;
      this.hold(watcher);
      watcher.permit.suspend(watcher);
    }
  }

  onMade(): void {
    if (this.#feed.terminal === undefined) this.#feed.flow.onMade();
  }

  /** Gives a new batch, which the feed has not applied yet, to the synced watchers that it is for. */
  deliver(batch: Batch): void {
    let deliveries = 0;
    for (const audience of this.#index.match(batch)) {
      const chosen = audience.take();
      for (const watcher of audience.synced) {
        if (watcher.isBeyond(batch)) continue;
        try {
          if (watcher.sink.blocked) this.#fallBehind(watcher);
          else {
            deliver(watcher, batch, chosen.tailOf(batch), audience);
            deliveries++;
          }
        } catch (error) {
          watcher.sink.onFault(error);
        }
      }
    }
    this.#bounds.stats.countDelivered(deliveries);
  }

  /** The same for a huge batch, which is in the history already: they wait for it. */
  *deliverInSlices(batch: Batch): Steps {
    for (const audience of yield* this.#index.matching(batch)) {
      const chosen = audience.take();
      yield audience.synced.size;
      for (const watcher of [...audience.synced]) {
        if (!watcher.synced || watcher.isBeyond(batch)) continue;
        try {
          const { blocked } = watcher.sink;
          this.#fallBehind(watcher, blocked);
          if (!blocked) this.#renderings.wait(watcher, batch, chosen);
        } catch (error) {
          watcher.sink.onFault(error);
        }
      }
    }
  }

  /** The synced watchers whose clients take no more just now follow no longer: whether anybody reads can be told then. */
  lagBlocked(): void {
    for (const watcher of [...this.#index.synced()]) {
      if (watcher.sink.blocked) this.#fallBehind(watcher);
    }
  }

  /** Tells the synced watchers that want it, and had no event since the last time, how far the feed has come. */
  notifyProgress(): void {
    const { announced, header } = this.#feed;
    for (const watcher of this.#behind.all()) watcher.onTick();
    for (const watcher of this.#index.synced()) {
      if (!watcher.options.progressNotify || !watcher.onTick() || !watcher.isAt(announced)) continue;
      try {
        watcher.sendProgress(withRevision(header, announced));
      } catch (error) {
        watcher.sink.onFault(error);
      }
    }
  }

  /** Moves the watchers that `target` can serve to it, once it is known to be at the same store. */
  moveTo(target: TargetFeed): void {
    this.#moving.toward(target);
  }

  /** The feed has ended: tells the watchers that have had all of it. */
  finishSynced(terminal: Terminal): void {
    // The end of one watcher may be that of its stream, and of others on it.
    for (const watcher of [...this.#index.synced()]) {
      if (!watcher.synced || watcher.feed !== this.#feed) continue;
      try {
        this.#finish(watcher, terminal);
      } catch (error) {
        watcher.sink.onFault(error);
      }
    }
  }

  /** Where the next batch is that may hold something for a watcher that is behind; it passes those before. */
  #seek(watcher: Watcher): number {
    const { history } = this.#feed;
    const { next } = watcher;
    const position = history.find(this.#index.next(watcher.audience as Audience<Watcher>, next));
    const passed = history.at(position - 1);
    if (passed !== undefined && passed.revision >= next) watcher.pass(passed);
    return position;
  }

  /** The client of a watcher that is behind takes no more. */
  #hold(watcher: Watcher): void {
    this.#lag(watcher);
    this.#moving.offer(watcher);
    if (this.size > 0) this.#feed.flow.look();
  }

  #finish(watcher: Watcher, terminal: Terminal): void {
    watcher.hadAll();
    this.detach(watcher);
    try {
      this.#tellEnd(watcher, terminal);
    } finally {
      this.#feed.onLeft();
    }
  }

  #tellEnd(watcher: Watcher, terminal: Terminal): void {
    if (terminal.kind === 'status') watcher.sink.fail(terminal.status.code, terminal.status.message);
    else if (terminal.kind === 'canceled')
      watcher.sink.fail(Code.UNAVAILABLE, notGoneOnWith(terminal.reason));
    else if (watcher.next < terminal.revision)
      watcher.sink.onCompacted(watcher, terminal.header, terminal.revision);
    else this.#feed.onStranded(watcher);
  }

  #sync(watcher: Watcher): void {
    watcher.sync();
    this.#synced++;
    this.#index.sync(watcher.audience as Audience<Watcher>, watcher);
    this.#behind.delete(watcher);
    if (this.#synced === 1) this.#feed.flow.look();
  }

  #unsync(watcher: Watcher): void {
    this.#index.unsync(watcher.audience as Audience<Watcher>, watcher);
    watcher.unsync();
    this.#synced--;
  }

  #fallBehind(watcher: Watcher, lags = true): void {
    this.#unsync(watcher);
    if (lags) this.#lag(watcher);
    else this.#behind.set(watcher);
  }

  #lag(watcher: Watcher): void {
    this.#behind.set(watcher);
    watcher.sink.onLagging(watcher);
  }
}
