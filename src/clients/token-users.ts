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

/** A token that was handed out. */
export interface UserToken {
  readonly user: string;
  /** What shows it to etcd. */
  readonly metadata: Metadata;
}

export class TokenUsers {
  /** Tokens that had to go for others. */
  forgotten = 0;
  bytes = 0;
  readonly #maxBytes: number;
  /** In the order in which they were of use. */
  readonly #tokens = new Map<string, UserToken>();
  /** Those of each user, in the order in which they were handed out. */
  readonly #users = new Map<string, Map<string, UserToken>>();

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** How many are known. */
  get size(): number {
    return this.#tokens.size;
  }

  /** etcd has handed out a token. */
  learn(user: string, token: string): void {
    if (token === '' || user === '') return;
    this.#forget(token);
    const bytes = bytesOf(user, token);
    if (bytes > this.#maxBytes) {
      this.forgotten++;
      return;
    }
    const entry = { user, metadata: withOwnVersion(['token', token]) };
    this.#tokens.set(token, entry);
    const others = this.#users.get(user);
    if (others === undefined) this.#users.set(user, new Map([[token, entry]]));
    else others.set(token, entry);
    this.bytes += bytes;
    while (this.bytes > this.#maxBytes) {
      const [oldest] = this.#tokens.keys();
      this.#forget(oldest as string);
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

  /** So many of a user's tokens at most, the newest first. */
  tokensOf(user: string, most: number): UserToken[] {
    const all = this.#users.get(user);
    return all === undefined ? [] : [...all.values()].slice(-most).reverse();
  }

  #forget(token: string): void {
    const entry = this.#tokens.get(token);
    if (entry === undefined) return;
    const { user } = entry;
    this.#tokens.delete(token);
    this.bytes -= bytesOf(user, token);
    const others = this.#users.get(user);
    others?.delete(token);
    if (others?.size === 0) this.#users.delete(user);
  }
}

function bytesOf(user: string, token: string): number {
  return ENTRY_BYTES + user.length + TEXT_COPIES * token.length;
}
