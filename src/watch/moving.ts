/** Moves the watchers of a feed to the one that they are to end on, each as soon as that one can serve it. */
import { isReady, type TargetFeed } from './target-feed.ts';
import type { Watcher, WatcherFeed } from './watcher.ts';

/** The feed that they are on. */
export interface LeftFeed extends WatcherFeed {
  /** The feed that its watchers are to move to. */
  readonly target: TargetFeed | undefined;
  /** Watchers have left, maybe the last one. */
  onLeft(): void;
}

/** Who has the watchers. */
export interface MovingOwner {
  behind(): Iterable<Watcher>;
  synced(): Iterable<Watcher>;
  detach(watcher: Watcher): void;
}

export class Moving {
  readonly #feed: LeftFeed;
  readonly #owner: MovingOwner;
  /**
   * Some that are behind may fit the target, and were not looked at for that. What one of them needs next changes only when it is
   * pumped, so all are looked at only after a time without a target, and otherwise by {@link offer}.
   */
  #mayFit = true;

  constructor(feed: LeftFeed, owner: MovingOwner) {
    this.#feed = feed;
    this.#owner = owner;
  }

  /** Moves all that the target can serve, once it is known to be at the same store. */
  toward(target: TargetFeed): void {
    const feed = this.#feed;
    if (!isReady(target, feed)) {
      this.#mayFit = true;
      return;
    }
    if (!target.serves(feed.applied + 1)) return;
    const behind = this.#mayFit ? [...this.#owner.behind()] : [];
    const synced = [...this.#owner.synced()];
    this.#mayFit = false;
    for (const watcher of behind) this.#move(watcher, target);
    for (const watcher of synced) this.#move(watcher, target);
    feed.onLeft();
  }

  /** Moves one that is behind and has come further, if it fits. */
  offer(watcher: Watcher): void {
    const feed = this.#feed;
    const { target } = feed;
    if (target === undefined || !isReady(target, feed)) return;
    this.#move(watcher, target);
    feed.onLeft();
  }

  #move(watcher: Watcher, target: TargetFeed): void {
    // Moving another one may have ended its stream.
    if (watcher.feed !== this.#feed || !target.serves(watcher.next)) return;
    try {
      this.#owner.detach(watcher);
      target.attach(watcher);
    } catch (error) {
      watcher.sink.onFault(error);
    }
  }
}
