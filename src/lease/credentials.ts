/**
 * Who carriers are to etcd: whose token their streams show. Those of one token show that. Those of a user show the token of one
 * of the clients that are there, and that of another one once etcd does not take it any more.
 */
import type { Identity } from '../clients/identity.ts';

/** A client's stream that is there. */
export interface SharingStream {
  readonly identity: Identity;
  /** It is not to share with the others any more. */
  move(): void;
}

export interface Credentials {
  /** Stands for it in tables. */
  readonly id: string;
  /** Whose token streams to etcd show now. */
  readonly shown: Identity;
  /** Whether they may show something else where etcd does not take a token. */
  readonly renews: boolean;
  enter(member: SharingStream): void;
  leave(member: SharingStream): void;
  /** etcd does not take the token that a stream has shown. */
  onRefused(shown: Identity): void;
}

/** One client, by what it has shown itself. */
export class ClientCredentials implements Credentials {
  readonly id: string;
  readonly shown: Identity;
  readonly renews = false;

  constructor(identity: Identity) {
    this.id = identity.id;
    this.shown = identity;
  }

  enter(): void {
    // Whoever has this identity shows the same.
  }

  leave(): void {
    // As above.
  }

  onRefused(): void {
    // There is nothing else to show; who is there is told.
  }
}

/** So many tokens that etcd does not take, less than so many milliseconds after each other, and each client is judged by its own. */
const MOST_REFUSALS = 8;
const AT_ONCE_MS = 1000;

/** Who knows users. */
export interface UserOwner {
  /** A token is nobody's from now on. */
  forget(token: string): void;
  /** So many tokens were no good that its clients are judged one by one. */
  onSpent(): void;
}

/** A user whose tokens this proxy saw being handed out. */
export class UserCredentials implements Credentials {
  readonly id: string;
  readonly renews = true;
  /** Its clients are judged one by one: too many of their tokens were no good. */
  isSpent = false;
  shown: Identity;
  readonly #owner: UserOwner;
  /** Who is there, by the token that was shown. */
  readonly #members = new Map<string, Set<SharingStream>>();
  #refusals = 0;
  #refusedAt = 0;

  /**
   * @param id that of the user, see {@link UserCredentials.idOf}
   * @param first a client of the user's, which is about to enter
   */
  constructor(id: string, first: Identity, owner: UserOwner) {
    this.id = id;
    this.shown = first;
    this.#owner = owner;
  }

  /** A JSON object, where those of clients are arrays or digests. */
  static idOf(user: string): string {
    return JSON.stringify({ user });
  }

  /** Whether a client is there that has shown this token. */
  has(token: string): boolean {
    return this.#members.has(token);
  }

  enter(member: SharingStream): void {
    const { identity } = member;
    const { token } = identity;
    if (this.#members.size === 0) this.shown = identity;
    const members = this.#members.get(token);
    if (members === undefined) this.#members.set(token, new Set([member]));
    else members.add(member);
  }

  leave(member: SharingStream): void {
    const { token } = member.identity;
    const members = this.#members.get(token);
    members?.delete(member);
    if (members?.size === 0) this.#members.delete(token);
  }

  /** A token is nobody's any more: who has shown it goes. */
  drop(token: string): void {
    const members = this.#members.get(token);
    this.#members.delete(token);
    if (this.shown.token === token) this.#choose();
    for (const member of members ?? []) member.move();
  }

  onRefused({ token }: Identity): void {
    // Other streams may have shown it too, and etcd has refused it on one of them before.
    const isNews = this.shown.token === token || this.has(token);
    this.#owner.forget(token);
    this.drop(token);
    if (!isNews) return;
    const now = performance.now();
    if (now - this.#refusedAt > AT_ONCE_MS) this.#refusals = 0;
    this.#refusedAt = now;
    if (++this.#refusals >= MOST_REFUSALS) this.#dissolve();
  }

  #choose(): void {
    for (const [member] of this.#members.values()) {
      if (member === undefined) continue;
      this.shown = member.identity;
      return;
    }
  }

  #dissolve(): void {
    this.isSpent = true;
    this.#owner.onSpent();
    const all = [...this.#members.values()];
    this.#members.clear();
    for (const members of all) for (const member of members) member.move();
  }
}
