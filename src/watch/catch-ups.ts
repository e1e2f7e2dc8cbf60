/** The catch-ups of one identity, found by the feeds that they lead to. */
import type { Feed } from './feed.ts';
import type { WatchStats } from './stats.ts';

export class CatchUps {
  readonly #byTarget = new Map<Feed, Set<Feed>>();
  readonly #stats: WatchStats;

  constructor(stats: WatchStats) {
    this.#stats = stats;
  }

  /** A feed is started, which may be one. */
  onStarted(feed: Feed): void {
    if (feed.target === undefined) return;
    this.#stats.catchUps++;
    const others = this.#byTarget.get(feed.target);
    if (others === undefined) this.#byTarget.set(feed.target, new Set([feed]));
    else others.add(feed);
  }

  /** A feed ends, which may be one. */
  onEnding(feed: Feed): void {
    if (feed.target === undefined) return;
    this.#stats.catchUps--;
    const others = this.#byTarget.get(feed.target);
    others?.delete(feed);
    if (others?.size === 0) this.#byTarget.delete(feed.target);
  }

  /** Gives out those that lead to a feed; they are none from now on. */
  take(target: Feed): Iterable<Feed> {
    const taken = this.#byTarget.get(target) ?? [];
    this.#byTarget.delete(target);
    for (const _ of taken) this.#stats.catchUps--;
    return taken;
  }
}
