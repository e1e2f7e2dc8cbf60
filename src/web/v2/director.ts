/**
 * Which members a request may be sent to, and in which order, as the director of etcd's v2 proxy: the first one gets all
 * requests until it fails or the order changes; one that failed rests; at each refresh failures are forgotten.
 */
import { shuffled } from '../../rpc/shuffled.ts';
import type { V2Member, V2Options } from './options.ts';

export class Director {
  readonly #options: V2Options;
  readonly #onRefreshed: (members: readonly V2Member[]) => void;
  /** Urls, in the order since the last refresh. */
  #order: readonly string[] = [];
  #refreshAt = Number.NEGATIVE_INFINITY;
  /** Until when those that failed rest. */
  readonly #resting = new Map<string, number>();
  /** Those that have led back to this proxy. Behind a balancer some do only now and then, so they are the last ones. */
  readonly #circles = new Set<string>();

  /** @param onRefreshed hears which members there are from then on */
  constructor(options: V2Options, onRefreshed: (members: readonly V2Member[]) => void) {
    this.#options = options;
    this.#onRefreshed = onRefreshed;
  }

  /** The members that may be tried now, the first one first. */
  available(now = performance.now()): V2Member[] {
    const members = this.#options.members();
    const byUrl = new Map(members.map((member) => [member.url, member]));
    const isOther = byUrl.size !== this.#order.length || this.#order.some((url) => !byUrl.has(url));
    if (now >= this.#refreshAt || isOther) this.#refresh(members, now);
    const order = [...(this.#options.shuffled ? this.#order : byUrl.keys())];
    order.sort((a, b) => Number(this.#circles.has(a)) - Number(this.#circles.has(b)));
    return order.flatMap((url) => {
      const member = byUrl.get(url);
      return member === undefined || (this.#resting.get(url) ?? now) > now ? [] : [member];
    });
  }

  /** A member could not be reached, or did not answer. */
  onFailed({ url }: V2Member, now = performance.now()): void {
    this.#resting.set(url, now + this.#options.times.failureWait);
  }

  /** A member leads back to this proxy. */
  onCircle({ url }: V2Member): void {
    this.#circles.add(url);
  }

  #refresh(members: readonly V2Member[], now: number): void {
    this.#order = shuffled([...new Set(members.map(({ url }) => url))]);
    this.#resting.clear();
    for (const url of this.#circles) if (!this.#order.includes(url)) this.#circles.delete(url);
    this.#refreshAt = now + this.#options.times.refreshInterval;
    this.#onRefreshed(members);
  }
}
