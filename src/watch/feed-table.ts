/** The feeds of one identity that may serve new watchers, found by the range that a watcher wants. */
import type { KeyRange } from '../etcd/key-range.ts';
import type { Feed } from './feed.ts';
import { RangeMap } from './range-map.ts';

/** Feeds that are looked at for one watcher, and as many catch-ups. */
const MAX_SEARCH = 256;

type Feeds = RangeMap<Set<Feed>>;

export class FeedTable {
  readonly #feeds: Feeds = new RangeMap();
  /** Apart, since there may be very many that do not go back far enough. */
  readonly #catchUps: Feeds = new RangeMap();

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
    const found: Feed[] = [];
    for (const feeds of [this.#feeds, this.#catchUps]) search(feeds, range, prevKv, found);
    return found;
  }

  #of(feed: Feed): Feeds {
    return feed.catchesUp ? this.#catchUps : this.#feeds;
  }
}

function search(feeds: Feeds, range: KeyRange, prevKv: boolean, found: Feed[]): void {
  let left = MAX_SEARCH;
  feeds.covering(range, (same) => {
    for (const feed of same) {
      if (left-- === 0) return false;
      if (feed.prevKv || !prevKv) found.push(feed);
    }
    return true;
  });
}
