/**
 * Whether etcd takes the tokens of clients whose heartbeats travel with another token of the same user. etcd is asked, by a small
 * read, before a client begins to share, and every minute while it does: so a client that etcd does not know any more finds
 * out, and a simple token, which etcd forgets when it is not used, lives as long as with heartbeats of its own.
 */
import type { Identity } from '../clients/identity.ts';
import { ANY_RANGE, type ReadAs } from '../clients/probes.ts';
import { askWatchPermission } from '../clients/watch-permission.ts';
import type { Metadata } from '../rpc/metadata.ts';

/** How long etcd's word counts, in looks at the table. */
const GOOD_LOOKS = 60;
const LOOK_MS = 1000;

/** So many are asked about again at each look. */
const MOST_AGAIN = 256;

/** Whoever waits for the answer. `undefined`: etcd could not be asked. */
type Waiting = (isGood: boolean | undefined) => void;

/** Who asks for the checks. */
export interface TokenChecksOwner {
  /** Asks etcd as a client. */
  read(metadata: Metadata, request: Uint8Array): Promise<Uint8Array>;
  /** Whether somebody shares who has shown it. */
  isUsed(identity: Identity): boolean;
  /** etcd does not take it. */
  onBad(identity: Identity): void;
}

interface Good {
  readonly identity: Identity;
  /** The number of the look at which etcd took it. */
  readonly at: number;
}

export class TokenChecks {
  readonly #owner: TokenChecksOwner;
  /** By token, the one first that has to be asked about first. No more than tokens whose user is known. */
  readonly #good = new Map<string, Good>();
  readonly #asking = new Map<string, Waiting[]>();
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(owner: TokenChecksOwner) {
    this.#owner = owner;
  }

  /** How many are known to be good. */
  get size(): number {
    return this.#good.size;
  }

  /** Whether etcd has taken it lately. */
  isGood({ token }: Identity): boolean {
    return this.#good.has(token);
  }

  /** Asks etcd; whoever asks meanwhile gets the same answer. */
  ask(identity: Identity, done: Waiting): void {
    const asking = this.#asking.get(identity.token);
    if (asking !== undefined) asking.push(done);
    else {
      this.#asking.set(identity.token, [done]);
      void this.#ask(identity);
    }
  }

  /** Nobody knows any more whose it is. */
  forget(token: string): void {
    this.#good.delete(token);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#good.clear();
  }

  async #ask(identity: Identity): Promise<void> {
    const { token } = identity;
    const read: ReadAs = (metadata, request) => this.#owner.read(metadata, request);
    const { kind } = await askWatchPermission(read, identity.metadata, ANY_RANGE);
    const waiting = this.#asking.get(token) ?? [];
    this.#asking.delete(token);
    const isGood = kind === 'failed' ? undefined : kind !== 'token';
    if (isGood === true) this.#keep(identity);
    if (isGood === false) this.#owner.onBad(identity);
    for (const done of waiting) done(isGood);
  }

  #keep(identity: Identity): void {
    this.#good.delete(identity.token);
    this.#good.set(identity.token, { identity, at: this.#looks });
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Asks about those of which etcd has said nothing for long. */
  #look(): void {
    this.#looks++;
    let left = MOST_AGAIN;
    for (const [token, { identity, at }] of this.#good) {
      if (this.#looks - at < GOOD_LOOKS || left-- === 0) break;
      this.#good.delete(token);
      if (!this.#owner.isUsed(identity)) continue;
      // While etcd is asked, and where it cannot be, what it said last counts.
      this.#keep(identity);
      this.ask(identity, () => {});
    }
    if (this.#good.size === 0) this.close();
  }
}
