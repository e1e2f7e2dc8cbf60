/**
 * Feeds that still work through what happened long ago. They will be where etcd is in minutes, since etcd brings a watch of the
 * past so many revisions in a round of 100 ms; directly, a watch of what comes next would not wait for that.
 */
import type { Feed } from './feed.ts';

/** A feed that is behind etcd by no more revisions counts as one of the present: etcd's `watchBatchMaxRevs`, one round. */
const NEAR = 1000;

/**
 * Whether a watcher of the present would wait for what it does not want, on a feed that will be there in more than one round
 * of etcd. A feed that merely hears nothing, or is about to come back, is not far.
 * @param next what the watcher needs first; `Infinity`: whatever comes next
 */
export function isFarFrom(feed: Feed, next: number): boolean {
  const { applied, store, flow, past, progress, target } = feed;
  // A catch-up serves whoever needs what its target has forgotten, and nobody for whom that one is too far.
  if (target !== undefined) return isFarFrom(target, next);
  // How much lies before one that etcd brings nothing to is not known.
  if (flow.isParked) return next > applied + 1;
  if (next - applied <= NEAR) return false;
  // Were there a feed for each old revision that somebody begins at, etcd would read the same backlog for each.
  if (store.lead(next - 1, progress.isSafe) > NEAR) return false;
  // Where nothing but an event moves a feed, a quiet one would seem to be behind each time that its stream was lost.
  if (!progress.isSafe && !past) return false;
  return store.lead(applied, progress.isSafe) > NEAR;
}

/** Feeds that were started since another one, which covers their range, is far behind; they end when that one is there. */
export class PassedOver {
  readonly #bridges = new Map<Feed, Set<Feed>>();
  readonly #passedOver = new Map<Feed, Feed>();

  /** A feed was started in place of one that is far behind. */
  add(behind: Feed, bridge: Feed): void {
    const others = this.#bridges.get(behind);
    if (others === undefined) this.#bridges.set(behind, new Set([bridge]));
    else others.add(bridge);
    this.#passedOver.set(bridge, behind);
  }

  has(behind: Feed): boolean {
    return this.#bridges.has(behind);
  }

  /** The feed in place of which one was started. */
  behind(bridge: Feed): Feed | undefined {
    return this.#passedOver.get(bridge);
  }

  /** Gives out those that a feed is to take the watchers of. */
  take(behind: Feed): Iterable<Feed> {
    const taken = this.#bridges.get(behind) ?? [];
    this.#bridges.delete(behind);
    for (const bridge of taken) this.#passedOver.delete(bridge);
    return taken;
  }

  /** A feed ends, on either side. */
  onEnding(feed: Feed): void {
    this.take(feed);
    const behind = this.#passedOver.get(feed);
    if (behind === undefined) return;
    this.#passedOver.delete(feed);
    const others = this.#bridges.get(behind);
    others?.delete(feed);
    if (others?.size === 0) this.#bridges.delete(behind);
  }
}
