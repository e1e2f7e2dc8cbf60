/**
 * Whose the tokens are that this proxy saw etcd hand out. etcd lets a user do what its roles permit, whichever of its
 * tokens it shows, so what one of them is allowed the user is. No other token is taken for anybody's: what a token says of
 * itself is not believed.
 */
import { withOwnVersion } from '../etcd/own-metadata.ts';
import type { Metadata } from '../rpc/metadata.ts';

/** Memory for all of them, in bytes. */
const MAX_BYTES = 16 << 20;

/** What one costs beside its text, which is there twice: in the table and in the metadata that show it. Bytes. */
const ENTRY_BYTES = 600;
const TEXT_COPIES = 3;

/** So many of a user's tokens are tried; of more, the newest. */
export const MOST_TOKENS = 8;

/** A token that was handed out. */
export interface UserToken {
  readonly user: string;
  /** What shows it to etcd. */
  readonly metadata: Metadata;
}

/** Hears that a token is nobody's any more, for whatever reason. */
export type ForgottenListener = (token: string, user: string) => void;

/** What is known of one user. */
interface Known {
  /** In the order in which they were handed out. */
  readonly tokens: Map<string, UserToken>;
  /** The last of them, the newest first; never changed, so that whoever asks one after the other keeps what it has. */
  newest: readonly UserToken[];
}

export class TokenUsers {
  /** Tokens that had to go for others. */
  forgotten = 0;
  bytes = 0;
  readonly #maxBytes: number;
  /** In the order in which they were of use. */
  readonly #tokens = new Map<string, UserToken>();
  readonly #users = new Map<string, Known>();
  #listener: ForgottenListener = () => {};

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** How many are known. */
  get size(): number {
    return this.#tokens.size;
  }

  /** Has one listener hear of each token that is forgotten. */
  onForgotten(listener: ForgottenListener): void {
    this.#listener = listener;
  }

  /** etcd has handed out a token. */
  learn(user: string, token: string): void {
    if (token === '' || user === '') return;
    // etcd may hand out the same one again: a JWT says the same within a second.
    if (this.#tokens.get(token)?.user === user) this.#remove(token);
    else this.forget(token);
    const bytes = bytesOf(user, token);
    if (bytes > this.#maxBytes) {
      this.forgotten++;
      return;
    }
    const entry = { user, metadata: withOwnVersion(['token', token]) };
    this.#tokens.set(token, entry);
    const known = this.#users.get(user) ?? { tokens: new Map(), newest: [] };
    known.tokens.set(token, entry);
    known.newest = [entry, ...known.newest].slice(0, MOST_TOKENS);
    this.#users.set(user, known);
    this.bytes += bytes;
    while (this.bytes > this.#maxBytes) {
      const [oldest] = this.#tokens.keys();
      this.forget(oldest as string);
      this.forgotten++;
    }
  }

  /** Whose a token is; undefined: that is not known. */
  userOf(token: string): string | undefined {
    const entry = this.#tokens.get(token);
    if (entry === undefined) return undefined;
    this.#tokens.delete(token);
    this.#tokens.set(token, entry);
    return entry.user;
  }

  /** The newest of a user's tokens, {@link MOST_TOKENS} at most, the newest first. */
  tokensOf(user: string): readonly UserToken[] {
    return this.#users.get(user)?.newest ?? [];
  }

  /** etcd does not take a token. */
  forget(token: string): void {
    const user = this.#remove(token);
    if (user !== undefined) this.#listener(token, user);
  }

  /** A user is another one from now on, or has another password: who showed the tokens of before may be somebody else. */
  forgetUser(user: string): void {
    const tokens = [...(this.#users.get(user)?.tokens.keys() ?? [])];
    this.#users.delete(user);
    for (const token of tokens) {
      this.#tokens.delete(token);
      this.bytes -= bytesOf(user, token);
    }
    for (const token of tokens) this.#listener(token, user);
  }

  /** @returns whose it was */
  #remove(token: string): string | undefined {
    const entry = this.#tokens.get(token);
    if (entry === undefined) return undefined;
    const { user } = entry;
    this.#tokens.delete(token);
    this.bytes -= bytesOf(user, token);
    const known = this.#users.get(user);
    if (known === undefined) return user;
    known.tokens.delete(token);
    known.newest = known.newest.filter((other) => other !== entry);
    if (known.tokens.size === 0) this.#users.delete(user);
    else if (known.newest.length === 0)
      known.newest = [...known.tokens.values()].slice(-MOST_TOKENS).reverse();
    return user;
  }
}

function bytesOf(user: string, token: string): number {
  return ENTRY_BYTES + user.length + TEXT_COPIES * token.length;
}
