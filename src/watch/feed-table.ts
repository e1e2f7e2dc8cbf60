/** The feeds of one identity that may serve new watchers, found by the range that a watcher wants. */
import type { KeyRange } from '../etcd/key-range.ts';
import type { Feed } from './feed.ts';
import { RangeMap } from './range-map.ts';

/** Feeds that are looked at for one watcher, and as many catch-ups. */
const MAX_SEARCH = 256;

type Feeds = RangeMap<Set<Feed>>;

const NONE: Feed[] = [];

export class FeedTable {
  readonly #feeds: Feeds = new RangeMap();
  /** Apart, since there may be very many that do not go back far enough. */
  readonly #catchUps: Feeds = new RangeMap();
  /** What was found of a search, whether it is for those that fetch previous values, and how many it may still look at. */
  #found = NONE;
  #prevKv = false;
  #left = 0;
  /** One function, since each new watch takes several searches. */
  readonly #collect = (same: ReadonlySet<Feed>): boolean => {
    for (const feed of same) {
      if (this.#left-- === 0) return false;
      if (this.#prevKv && !feed.prevKv) continue;
      // Mostly there is one: with that, an array has room for no more.
      if (this.#found === NONE) this.#found = [feed];
      else this.#found.push(feed);
    }
    return true;
  };

  add(feed: Feed): void {
    const feeds = this.#of(feed);
    const same = feeds.get(feed.range);
    if (same === undefined) feeds.add(feed.range, new Set([feed]));
    else same.add(feed);
  }

  /** Removes a feed, which must not have been promoted since it was added. @returns whether it was there */
  remove(feed: Feed): boolean {
    const feeds = this.#of(feed);
    const same = feeds.get(feed.range);
    if (same === undefined || !same.delete(feed)) return false;
    if (same.size === 0) feeds.delete(feed.range);
    return true;
  }

  /**
   * Those whose range is the one wanted, then those that contain it; the same of catch-ups.
   * @param prevKv only those that fetch previous values
   */
  covering(range: KeyRange, prevKv: boolean): readonly Feed[] {
    this.#found = NONE;
    this.#prevKv = prevKv;
    this.#left = MAX_SEARCH;
    this.#feeds.covering(range, this.#collect);
    this.#left = MAX_SEARCH;
    this.#catchUps.covering(range, this.#collect);
    const found = this.#found;
    // It may lead to feeds that are closed before the next search.
    this.#found = NONE;
    return found;
  }

  #of(feed: Feed): Feeds {
    return feed.catchesUp ? this.#catchUps : this.#feeds;
  }
}
