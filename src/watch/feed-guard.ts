/**
 * Stands between a feed and its stream, which may be shared with other feeds: a fault of the program while the feed takes
 * what etcd says ends the feed, so that its watchers come back, and nothing else. What etcd brings is in the {@link Inbox} until the
 * feed has taken it; the feed hears of nothing else before that.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { WatchResponse } from '../etcd/watch-response.ts';
import type { FeedStreamOwner } from './feed-stream.ts';
import { Inbox, type InboxBounds, type InboxOwner } from './inbox.ts';
import type { Terminal } from './terminal.ts';

/** The feed. */
export interface GuardedFeed extends Omit<FeedStreamOwner, 'onBrought' | 'received'>, InboxOwner {}

export class FeedGuard implements FeedStreamOwner {
  readonly range: KeyRange;
  readonly prevKv: boolean;
  readonly past: boolean;
  readonly #feed: GuardedFeed;
  readonly #inbox: Inbox;

  constructor(feed: GuardedFeed, bounds: InboxBounds) {
    this.#feed = feed;
    this.range = feed.range;
    this.prevKv = feed.prevKv;
    this.past = feed.past;
    this.#inbox = new Inbox(feed, bounds);
  }

  get received(): number {
    return this.#inbox.received;
  }

  get catchesUp(): boolean {
    return this.#feed.catchesUp;
  }

  /** The feed takes nothing any more. */
  close(): void {
    this.#inbox.close();
  }

  onHeader(header: Header): void {
    this.#tell(() => this.#feed.onHeader(header));
  }

  beginAt(revision: number): boolean {
    let begins = false;
    this.#tell(() => {
      begins = this.#feed.beginAt(revision);
    });
    return begins;
  }

  onBegan(again: boolean): void {
    this.#tellAfterAll(() => this.#feed.onBegan(again));
  }

  onBrought(response: WatchResponse): void {
    this.#tell(() => this.#inbox.take(response));
  }

  onLost(): void {
    this.#tellAfterAll(() => this.#feed.onLost());
  }

  onOver(terminal: Terminal): void {
    this.#tellAfterAll(() => this.#feed.onOver(terminal));
  }

  onFault(error: unknown): void {
    this.#feed.onFault(error);
  }

  #tellAfterAll(what: () => void): void {
    this.#tell(() => {
      this.#inbox.finish();
      what();
    });
  }

  #tell(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.#feed.onFault(error);
    }
  }
}
