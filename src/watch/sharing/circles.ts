/**
 * Which feeds serve a client's watch of a range, once etcd has allowed the client that: those of the proxy's own user, where
 * that may watch the range; those of the client's user, where the proxy saw its token being handed out; otherwise the
 * client's own, as for everybody without a token. Only the first two are shared by others than who shows the same token.
 */
import type { Asker } from '../../clients/probe.ts';
import type { Header } from '../../etcd/header.ts';
import type { KeyRange } from '../../etcd/key-range.ts';
import type { IdentityFeeds } from '../identity-feeds.ts';
import type { SharedFeeds, SharingOptions } from '../shared-feeds.ts';
import type { Watcher } from '../watcher.ts';
import { OwnSponsor, type Sponsor, UserSponsor } from './sponsor.ts';

/** All feeds. */
export interface CirclesOwner {
  readonly nobodys: IdentityFeeds;
  /** The feeds that carry what a sponsor says. @param id the sponsor's */
  feedsBy(id: string, sponsor: () => Sponsor): IdentityFeeds;
}

/** What etcd has said of a watch that begins. */
export interface Allowed {
  readonly header: Header;
  /** The watch asks for a revision that may be compacted. */
  readonly maybeCompacted: boolean;
  /** Whether the proxy's own user may watch the range; `undefined`: the watch is to be the client's own. */
  readonly own: boolean | undefined;
}

export class Circles {
  readonly #shared: SharedFeeds;
  readonly #sharing: SharingOptions | undefined;
  readonly #owner: CirclesOwner;

  constructor(shared: SharedFeeds, sharing: SharingOptions | undefined, owner: CirclesOwner) {
    this.#shared = shared;
    this.#sharing = sharing;
    this.#owner = owner;
  }

  /** The feeds of the proxy's own user; nobody's while etcd demands none; `undefined`: it has no user. */
  get own(): IdentityFeeds | undefined {
    const login = this.#sharing?.login;
    if (login === undefined || !login.hasUser) return undefined;
    if (login.metadata.get('token') === undefined) return this.#owner.nobodys;
    return this.#owner.feedsBy(OwnSponsor.id, () => new OwnSponsor(this.#shared, login));
  }

  /** A watch is about to begin: which feeds will serve it can be told when etcd has allowed it. */
  prepare(feeds: IdentityFeeds): void {
    this.#mostShared(feeds).etcd.prepare();
  }

  /** Whether some feeds that may serve the client remember a revision, so that etcd would not be asked for it. */
  remembers(feeds: IdentityFeeds, range: KeyRange, prevKv: boolean, start: number): boolean {
    if (feeds.remembers(range, prevKv, start)) return true;
    if (!feeds.identity.hasToken) return false;
    const others = [this.own, this.#userFeeds(feeds)];
    return others.some((other) => other?.remembers(range, prevKv, start) === true);
  }

  /**
   * etcd has allowed a client a range: finds out whether the proxy's own user may watch it.
   * @param done is called at once where that need not be asked
   */
  learn(feeds: IdentityFeeds, range: KeyRange, done: (own: boolean) => void): void {
    const own = this.#sharing?.login.hasUser === true ? this.#sharing.login : undefined;
    if (!feeds.identity.hasToken || own === undefined) done(false);
    else if (this.own?.covers(range) === true) done(true);
    else {
      const asker: Asker = { askedStart: 0, onProbed: ({ kind }) => done(kind === 'ok') };
      this.#ownUser(own).etcd.probe(range, asker);
    }
  }

  /** Puts a watcher on a feed. @param feeds its client's own. @param fromPast whether it asks for a revision */
  place(
    watcher: Watcher,
    feeds: IdentityFeeds,
    { header, maybeCompacted, own }: Allowed,
    fromPast: boolean,
  ): void {
    const shared = own === true ? this.own : own === false ? this.#userFeeds(feeds) : undefined;
    if (shared !== undefined) this.#shared.permits.enter(watcher, feeds.identity);
    (shared ?? feeds).place(watcher, header, maybeCompacted && fromPast);
  }

  #ownUser(login: SharingOptions['login']): IdentityFeeds {
    return this.#owner.feedsBy(OwnSponsor.id, () => new OwnSponsor(this.#shared, login));
  }

  #mostShared(feeds: IdentityFeeds): IdentityFeeds {
    if (!feeds.identity.hasToken) return feeds;
    return this.own ?? this.#userFeeds(feeds) ?? feeds;
  }

  /** Those of the client's user; `undefined`: it is not known whose the token is. */
  #userFeeds({ identity }: IdentityFeeds): IdentityFeeds | undefined {
    const { users } = this.#shared;
    const user = users.userOf(identity.token);
    if (user === undefined) return undefined;
    return this.#owner.feedsBy(
      UserSponsor.idOf(user),
      () => new UserSponsor(this.#shared, users, user, identity.metadata),
    );
  }
}
