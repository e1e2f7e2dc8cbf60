/**
 * Which feeds serve a client's watch of a range, once etcd has allowed the client that: those of the proxy's own user, where
 * that may watch the range; those of the client's user, where the proxy saw its token being handed out; otherwise the
 * client's own, as for everybody without a token. Only the first two are shared by others than who shows the same token.
 */
import type { Identity } from '../../clients/identity.ts';
import type { Asker, ProbeResult } from '../../clients/probe.ts';
import { ANY_RANGE } from '../../clients/probes.ts';
import type { KeyRange } from '../../etcd/key-range.ts';
import type { CreateRequest } from '../../etcd/watch-request.ts';
import type { IdentityFeeds } from '../identity-feeds.ts';
import type { SharedFeeds, SharingOptions } from '../shared-feeds.ts';
import type { Watcher } from '../watcher.ts';
import { OwnSponsor, type Sponsor, UserSponsor } from './sponsor.ts';

/** A user that etcd does not demand, or take, is tried again after so many milliseconds. */
const AGAIN_MS = 10_000;

/** All feeds. */
export interface CirclesOwner {
  readonly nobodys: IdentityFeeds;
  /** The feeds that carry what a sponsor says. @param id the sponsor's */
  feedsBy(id: string, sponsor: () => Sponsor): IdentityFeeds;
  /** The same, if there are any. */
  existing(id: string): IdentityFeeds | undefined;
}

/** What etcd has said of a watch that begins; very many watches share one object. */
export type Allowed = Omit<ProbeResult & { kind: 'ok' }, 'kind'>;

/** Waits to be told whether the proxy's own user may watch a range. */
export interface Learner {
  onLearned(own: boolean): void;
}

export class Circles {
  readonly #shared: SharedFeeds;
  readonly #sharing: SharingOptions | undefined;
  readonly #owner: CirclesOwner;
  /** Those of users' feeds. */
  readonly #sponsors = new WeakMap<IdentityFeeds, UserSponsor>();
  #isSigningIn = false;
  /** Not before this is it tried again, in milliseconds of `performance.now()`. */
  #signsInAt = 0;

  constructor(shared: SharedFeeds, sharing: SharingOptions | undefined, owner: CirclesOwner) {
    this.#shared = shared;
    this.#sharing = sharing;
    this.#owner = owner;
  }

  /** The feeds of the proxy's own user; nobody's while etcd demands none; `undefined`: it has no user. */
  get own(): IdentityFeeds | undefined {
    const login = this.#sharing?.login;
    if (login === undefined || !login.hasUser) return undefined;
    return this.signedIn ?? this.#owner.nobodys;
  }

  /** The feeds of the proxy's own user, if etcd has demanded one. */
  get signedIn(): IdentityFeeds | undefined {
    const login = this.#sharing?.login;
    return login?.metadata.get('token') === undefined ? undefined : this.#ownUser(login);
  }

  /** Whether it will soon be known whether etcd demands the proxy's own user; has it sign in where that was not tried lately. */
  isSigningIn(now: number): boolean {
    const login = this.#sharing?.login;
    if (login?.hasUser !== true || this.signedIn !== undefined) return false;
    if (this.#isSigningIn || now < this.#signsInAt) return this.#isSigningIn;
    this.#isSigningIn = true;
    const onProbed = (): void => {
      this.#isSigningIn = false;
      this.#signsInAt = performance.now() + AGAIN_MS;
    };
    this.#ownUser(login).etcd.probe(ANY_RANGE, { askedStart: 0, onProbed });
    return true;
  }

  /** The user whose token a client shows; `undefined`: it is not known whose it is. */
  userOf({ token }: Identity): string | undefined {
    return this.#shared.users.userOf(token);
  }

  /** The feeds of all tokens of a user. @param identity a client of the user's, whose token etcd has just taken */
  feedsOfUser(user: string, { metadata }: Identity): IdentityFeeds {
    const { users } = this.#shared;
    let made: UserSponsor | undefined;
    const feeds = this.#owner.feedsBy(UserSponsor.idOf(user), () => {
      made = new UserSponsor(this.#shared, users, user, metadata);
      return made;
    });
    if (made === undefined) this.#sponsors.get(feeds)?.offer(metadata);
    else this.#sponsors.set(feeds, made);
    return feeds;
  }

  /** A watch is about to begin: which feeds will serve it can be told when etcd has allowed it. */
  prepare(feeds: IdentityFeeds): void {
    const shared = feeds.identity.hasToken ? (this.own ?? this.#userFeeds(feeds)) : undefined;
    (shared ?? feeds).etcd.prepare();
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
   * @param learner is told at once where that need not be asked
   */
  learn(feeds: IdentityFeeds, request: CreateRequest, answer: Allowed, learner: Learner): void {
    const own = this.#sharing?.login.hasUser === true ? this.#sharing.login : undefined;
    if (!feeds.identity.hasToken || own === undefined) learner.onLearned(false);
    else if (this.#isCarried(request, answer)) learner.onLearned(true);
    else this.#ownUser(own).etcd.probe(request.range, askerFor(learner));
  }

  /** The feeds that serve a client's watch. @param feeds its client's own */
  serving(feeds: IdentityFeeds, own: boolean): IdentityFeeds {
    return this.#choose(feeds.identity, own) ?? feeds;
  }

  /**
   * Puts a watcher on a feed.
   * @param feeds its client's own
   * @param own whether the proxy's own user may watch the range
   * @param fromPast whether it asks for a revision
   */
  place(
    watcher: Watcher,
    feeds: IdentityFeeds,
    { header, maybeCompacted, at }: Allowed,
    own: boolean,
    fromPast: boolean,
  ): void {
    const shared = this.#choose(feeds.identity, own);
    if (shared !== undefined) this.#shared.permits.enter(watcher, feeds.identity, at);
    (shared ?? feeds).place(watcher, header, maybeCompacted && fromPast);
  }

  /**
   * Whether a feed of the proxy's own user serves a watch as it is. One of those without a token proves nothing: it may be
   * from before auth was switched on, and without a question the user would not sign in.
   */
  #isCarried({ range, start, options }: CreateRequest, { header, maybeCompacted }: Allowed): boolean {
    if (maybeCompacted && start !== 0) return false;
    const next = start === 0 ? header.revision + 1 : start;
    return this.signedIn?.carries({ range, prevKv: options.prevKv, next }, header) === true;
  }

  #ownUser(login: SharingOptions['login']): IdentityFeeds {
    return this.#owner.feedsBy(OwnSponsor.id, () => new OwnSponsor(this.#shared, login));
  }

  /** The feeds that others share with a client; `undefined`: the client's own are what is left. */
  #choose(identity: Identity, own: boolean): IdentityFeeds | undefined {
    if (own) return this.own;
    const user = this.userOf(identity);
    return user === undefined ? undefined : this.feedsOfUser(user, identity);
  }

  /** Those of the client's user, if there are any. */
  #userFeeds({ identity }: IdentityFeeds): IdentityFeeds | undefined {
    const user = this.userOf(identity);
    return user === undefined ? undefined : this.#owner.existing(UserSponsor.idOf(user));
  }
}

/** Apart, since what a function makes for its closures it makes whether or not it comes to them. */
function askerFor(learner: Learner): Asker {
  return { askedStart: 0, onProbed: ({ kind }) => learner.onLearned(kind === 'ok') };
}
