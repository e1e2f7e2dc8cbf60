/**
 * For whom answers are remembered. Clients with a token share those of their circle (`watch/sharing/circles.ts`): of the
 * proxy's own user, whose feeds keep them true, or of their own user. What is the same for all of them is remembered once;
 * whether etcd lets a client have it is known for each of them and for exactly the range (`clients/probes.ts`).
 */
import { type Reader, readerOf } from '../clients/identity.ts';
import type { Permissions } from '../clients/permission.ts';
import { ProbeTable } from '../clients/probes.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { KV } from '../etcd/methods.ts';
import { BoundedTable, type TableBounds } from '../rpc/bounded-table.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { WatchHub } from '../watch/hub.ts';
import type { IdentityFeeds } from '../watch/identity-feeds.ts';
import { UserSponsor } from '../watch/sharing/sponsor.ts';

/** Clients and ranges of which it is remembered that etcd has allowed them. */
const READERS: TableBounds = { entries: 20_000, bytes: 16 << 20 };

/** Ranges that the proxy's own user may not watch, and for how long that is remembered, in milliseconds. */
const FORBIDDEN: TableBounds = { entries: 1000, bytes: 1 << 20 };
const FORBIDDEN_MS = 60_000;

/** Clients who share answers. */
export interface Scope {
  /** What is before the request in the keys of its entries. No identity begins like this. */
  readonly prefix: string;
  readonly isOwn: boolean;
  /** What keeps its entries true. */
  feeds(): IdentityFeeds;
}

/** A client that may share answers, and with whom, the most first. */
export interface Sharer {
  readonly reader: Reader;
  readonly scopes: readonly Scope[];
}

/** The keys under which an answer to a client may be remembered, those that most share first; the last is the client's own. */
export function keysOf({ scopes }: Sharer, request: string, ownKey: string): string[] {
  return [...scopes.map(({ prefix }) => prefix + request), ownKey];
}

export class Scopes {
  /** Who of those that share may read what. */
  readonly readers: ProbeTable;
  readonly #hub: WatchHub;
  readonly #forbidden = new BoundedTable<number>(FORBIDDEN);

  constructor(hub: WatchHub, permissions: Permissions) {
    this.#hub = hub;
    const read = (metadata: Metadata, request: Uint8Array) => hub.unary(KV.Range, metadata, request);
    this.readers = new ProbeTable(read, { permissions, bounds: READERS });
  }

  /** The client of a call, with those whom it may share with; `undefined`: it shows no token. */
  of(metadata: Metadata): Sharer | undefined {
    const reader = readerOf(metadata);
    return reader && { reader, scopes: this.#scopesOf(reader) };
  }

  /** The one that an answer about a range is for; `undefined`: just the client; `later`: that is not known yet. */
  choose({ reader }: Sharer, range: KeyRange, now: number): Scope | 'later' | undefined {
    if (this.#hub.circles.isSigningIn(now)) return 'later';
    return this.#scopesOf(reader).find(({ isOwn }) => !isOwn || !this.#isForbidden(range, now));
  }

  /** etcd does not let the feeds of a scope watch a range. */
  forbid(range: KeyRange, now: number): void {
    this.#forbidden.delete(range.id);
    this.#forbidden.add(range.id, now, 2 * range.id.length);
  }

  #isForbidden({ id }: KeyRange, now: number): boolean {
    const at = this.#forbidden.get(id);
    return at !== undefined && now - at < FORBIDDEN_MS;
  }

  #scopesOf({ identity, rest }: Reader): Scope[] {
    const { circles } = this.#hub;
    const found: Scope[] = [];
    const own = circles.signedIn;
    if (own !== undefined) found.push({ prefix: own.identity.id + rest, isOwn: true, feeds: () => own });
    const user = circles.userOf(identity);
    if (user !== undefined)
      found.push({
        prefix: UserSponsor.idOf(user) + rest,
        isOwn: false,
        feeds: () => circles.feedsOfUser(user, identity),
      });
    return found;
  }
}
