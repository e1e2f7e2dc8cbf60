/** The feeds of one identity that may serve new watchers, found by the range that a watcher wants. */
import type { KeyRange } from '../etcd/key-range.ts';
import type { Feed } from './feed.ts';

/** Feeds of ranges that are looked at for one that contains a new watcher's. */
const MAX_SEARCH = 256;

export class FeedTable {
  readonly #byRange = new Map<string, Feed[]>();
  /** Those of more than one key. */
  readonly #wide = new Set<Feed>();

  add(feed: Feed): void {
    const { range } = feed;
    const same = this.#byRange.get(range.id);
    if (same === undefined) this.#byRange.set(range.id, [feed]);
    else same.push(feed);
    if (!range.exact) this.#wide.add(feed);
  }

  /** Removes a feed; nothing happens when it is not there. */
  remove(feed: Feed): void {
    const { range } = feed;
    const same = this.#byRange.get(range.id)?.filter((other) => other !== feed) ?? [];
    if (same.length === 0) this.#byRange.delete(range.id);
    else this.#byRange.set(range.id, same);
    this.#wide.delete(feed);
  }

  /**
   * Those whose range is the one wanted, then those that contain it.
   * @param prevKv only those that fetch previous values
   */
  *covering(range: KeyRange, prevKv: boolean): Iterable<Feed> {
    for (const feed of this.#byRange.get(range.id) ?? []) if (feed.prevKv || !prevKv) yield feed;
    let left = MAX_SEARCH;
    for (const feed of this.#wide) {
      if (left-- === 0) return;
      if ((feed.prevKv || !prevKv) && feed.range.id !== range.id && feed.range.covers(range)) yield feed;
    }
  }
}
