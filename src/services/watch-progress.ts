/**
 * The progress requests of one client stream. All that wait share a round: every feed that a watch of the stream is
 * on is asked, and when all have answered and every watch has been sent everything, the client gets the least of
 * their revisions. As in etcd there is no answer while a watch lags behind, or when there is no watch.
 */
import { isAt } from '../coalesce/watch/cursors.ts';
import type { Feed } from '../coalesce/watch/feed.ts';
import type { Header } from '../coalesce/watch/response.ts';
import { withRevision } from '../coalesce/watch/response.ts';
import type { Watcher } from '../coalesce/watch/watcher.ts';

export class ProgressRounds {
  readonly #watchers: ReadonlyMap<bigint, Watcher>;
  readonly #answer: (header: Header, count: number) => void;
  /** Requests that the round under way will answer. */
  #asked = 0;
  #waiting = 0;
  #closed = false;

  /** @param answer sends so many answers */
  constructor(watchers: ReadonlyMap<bigint, Watcher>, answer: (header: Header, count: number) => void) {
    this.#watchers = watchers;
    this.#answer = answer;
  }

  /** The client asks. */
  request(): void {
    this.#waiting++;
    if (this.#asked === 0) this.#next();
  }

  /** The stream is over. */
  close(): void {
    this.#closed = true;
  }

  #next(): void {
    if (this.#waiting === 0 || this.#closed) return;
    this.#asked = this.#waiting;
    this.#waiting = 0;
    const feeds = this.#feeds();
    let left = feeds.size;
    if (left === 0) this.#finish();
    for (const feed of feeds) {
      feed.progress.ask(() => {
        if (--left === 0) this.#finish();
      });
    }
  }

  #feeds(): Set<Feed> {
    const feeds = new Set<Feed>();
    for (const { feed } of this.#watchers.values()) if (feed !== undefined) feeds.add(feed);
    return feeds;
  }

  #finish(): void {
    if (this.#closed) return;
    const count = this.#asked;
    this.#asked = 0;
    const least = this.#least();
    if (least !== undefined) this.#answer(withRevision(least.header, least.applied), count);
    this.#next();
  }

  /** The feed that is furthest behind, if every watch has had everything up to where that is. */
  #least(): Feed | undefined {
    let least: Feed | undefined;
    for (const feed of this.#feeds()) if (least === undefined || feed.applied < least.applied) least = feed;
    if (least === undefined) return undefined;
    for (const watcher of this.#watchers.values()) if (!isAt(watcher, least.applied)) return undefined;
    return least;
  }
}
