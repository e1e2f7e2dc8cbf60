/** What watchers want to know of a feed that they may move to. */
import type { Header } from '../etcd/header.ts';
import type { FeedStreamState } from './feed-stream.ts';
import type { Watcher } from './watcher.ts';

/** A feed that watchers may move to. */
export interface TargetFeed {
  readonly state: FeedStreamState;
  readonly header: Header;
  /** Whether a watcher that needs everything from `next` on can be served. */
  serves(next: number): boolean;
  attach(watcher: Watcher): void;
}

/** Whether watchers may move to a feed from one with such a header: it is up, and of the same store. */
export function isReady(target: TargetFeed, { header }: Pick<TargetFeed, 'header'>): boolean {
  return target.state === 'live' && target.header.cluster === header.cluster;
}
