/**
 * The store of etcd that a feed's knowledge is about. While the feed has no stream, etcd may be set back to a backup or
 * replaced by another cluster, and what the feed remembers is not the past of the store that is there then.
 */
import { type Header, NO_HEADER } from '../etcd/header.ts';

export class KnownStore {
  /** What etcd said of itself when the feed was started. */
  readonly #told: Header;
  /** etcd's latest header on the feed. */
  header: Header = NO_HEADER;
  /** Up to here the feed's knowledge may be of a past that was undone: a stream began on a member at a lower revision. */
  undoneUpTo = 0;
  /**
   * Where etcd was when the present stream began; from there on the feed's knowledge is as new as etcd's. `Infinity` until
   * the stream's member has shown that it is as far as the feed.
   */
  syncPoint = Number.POSITIVE_INFINITY;

  /** @param told of which cluster the feed is to be, if of a certain one, and at which revision etcd is known to be */
  constructor(told: Header) {
    this.#told = told;
  }

  /** Whether the first header of all is of another cluster than the feed was started for. */
  isForeign({ cluster }: Header): boolean {
    return this.header === NO_HEADER && this.#told.cluster !== '' && cluster !== this.#told.cluster;
  }

  /** etcd says this of itself on the stream. @returns whether it is another cluster than before */
  onHeader(header: Header, applied: number): boolean {
    const before = this.header;
    this.header = header;
    this.#sync(applied);
    return before !== NO_HEADER && before.cluster !== header.cluster;
  }

  /**
   * A stream begins, on the member of the latest header.
   * @returns whether that is behind the feed: either it lags, or what the feed knows never happened
   */
  onBegan(applied: number): boolean {
    const isBehind = this.header.revision < applied;
    if (isBehind) this.undoneUpTo = applied;
    this.syncPoint = Number.POSITIVE_INFINITY;
    this.#sync(applied);
    return isBehind;
  }

  /**
   * Whether what the feed remembers is the past of the store that says this of itself, as far as the feed can know: with
   * no stream it cannot know what was undone.
   */
  isStoreOf(header: Header, applied: number, hasStream: boolean): boolean {
    if (this.header !== NO_HEADER && header !== NO_HEADER && this.header.cluster !== header.cluster)
      return false;
    return hasStream || applied <= header.revision;
  }

  /**
   * By how many revisions etcd is known to be ahead of the feed.
   * @param isCounted whether the feed hears of revisions without events; otherwise only those count that were there when
   * the present stream began
   */
  lead(applied: number, isCounted: boolean): number {
    const { revision } = this.header === NO_HEADER ? this.#told : this.header;
    return (isCounted ? revision : Math.min(revision, this.syncPoint)) - applied;
  }

  #sync(applied: number): void {
    const { revision } = this.header;
    if (this.syncPoint === Number.POSITIVE_INFINITY && revision >= applied) this.syncPoint = revision;
  }
}
