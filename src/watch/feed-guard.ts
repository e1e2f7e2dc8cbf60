/**
 * Stands between a feed and its stream, which may be shared with other feeds: a fault of the program while the feed takes
 * what etcd says ends the feed, so that its watchers come back, and nothing else.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { WatchResponse } from '../etcd/watch-response.ts';
import type { FeedStreamOwner } from './feed-stream.ts';
import type { Terminal } from './terminal.ts';

export class FeedGuard implements FeedStreamOwner {
  readonly range: KeyRange;
  readonly prevKv: boolean;
  readonly past: boolean;
  readonly #feed: FeedStreamOwner;

  constructor(feed: FeedStreamOwner) {
    this.#feed = feed;
    this.range = feed.range;
    this.prevKv = feed.prevKv;
    this.past = feed.past;
  }

  get applied(): number {
    return this.#feed.applied;
  }

  get catchesUp(): boolean {
    return this.#feed.catchesUp;
  }

  onHeader(header: Header): void {
    this.#tell(() => this.#feed.onHeader(header));
  }

  onBegan(): void {
    this.#tell(() => this.#feed.onBegan());
  }

  onBrought(response: WatchResponse): void {
    this.#tell(() => this.#feed.onBrought(response));
  }

  onLost(): void {
    this.#tell(() => this.#feed.onLost());
  }

  onOver(terminal: Terminal): void {
    this.#tell(() => this.#feed.onOver(terminal));
  }

  onFault(error: unknown): void {
    this.#feed.onFault(error);
  }

  #tell(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.#feed.onFault(error);
    }
  }
}
