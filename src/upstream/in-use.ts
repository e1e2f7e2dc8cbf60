/**
 * The connections in use, all to one endpoint, and which calls travel on which. What replies and what tells have one each, so
 * that no event waits behind large replies. Where etcd limits streams, each kind of traffic has further ones, which no other
 * kind can fill.
 */
import type { Route } from './route.ts';
import { TRAFFIC, type Traffic, tells } from './traffic.ts';

export class InUse {
  #all: readonly Route[] = [];
  #replying: Route | undefined;
  #telling: Route | undefined;
  readonly #further: Readonly<Record<Traffic, Route[]>> = {
    watches: [],
    heartbeats: [],
    locks: [],
    bulk: [],
    replies: [],
  };

  /** All of them. */
  get all(): readonly Route[] {
    return this.#all;
  }

  /** Whether there is no connection for this kind of traffic. */
  lacks(traffic: Traffic): boolean {
    return (tells(traffic) ? this.#telling : this.#replying) === undefined;
  }

  /** The connection for a new call, if one that this kind may use has a free stream. */
  routeFor(traffic: Traffic): Route | undefined {
    const own = tells(traffic) ? this.#telling : this.#replying;
    if (own?.connection.canOpenStream) return own;
    for (const route of this.#further[traffic]) if (route.connection.canOpenStream) return route;
    return undefined;
  }

  /** The same where there is none for this kind of traffic: that of the other kind. */
  borrowed(traffic: Traffic): Route | undefined {
    const other = this.#replying ?? this.#telling;
    return other?.connection.canOpenStream ? other : this.routeFor(traffic);
  }

  /** How many connections calls of this kind may use. */
  countFor(traffic: Traffic): number {
    return Math.min(this.#all.length, 1) + this.#further[traffic].length;
  }

  /** Replies travel on this one, or what tells where there is one for replies. */
  add(route: Route): void {
    if (this.#replying === undefined) this.#replying = route;
    else this.#telling = route;
    this.#all = [...this.#all, route];
  }

  /** One more for this kind of traffic. */
  extend(traffic: Traffic, route: Route): void {
    this.#further[traffic].push(route);
    this.#all = [...this.#all, route];
  }

  /** A connection takes no more calls. */
  remove(route: Route): void {
    this.#all = this.#all.filter((other) => other !== route);
    if (this.#replying === route) this.#replying = undefined;
    if (this.#telling === route) this.#telling = undefined;
    this.#dropFurther(route);
    if (this.#replying !== undefined || this.#telling !== undefined) return;
    [this.#replying] = this.#all;
    if (this.#replying !== undefined) this.#dropFurther(this.#replying);
  }

  #dropFurther(route: Route): void {
    for (const traffic of TRAFFIC) {
      const index = this.#further[traffic].indexOf(route);
      if (index >= 0) this.#further[traffic].splice(index, 1);
    }
  }
}
