/**
 * What the whole process holds for requests: those being received or waiting, their metadata, and the state of
 * streams. One invariant: the sum is at most the limit, but for what accounts hold of their assured part.
 *
 * Each connection of clients has an account. An account may hold {@link SHARE} times what is free; so a single one
 * gets most of the limit, many get less each, and there is always room for one more that holds little. An account
 * above its share has to let go: its holder stops reading or, where that cannot help, refuses requests.
 */

/** An account may hold this many times what is free. */
const SHARE = 4;

/** With less free than this many times what an account holds, its large requests take turns. */
const CROWD = 32;

/** An account that holds no more than this always gets through. Bytes. */
const SMALL = 64 << 10;

/**
 * An account that holds no more than its equal part of this part of the limit gets through too: honest clients beside
 * large ones.
 */
const ASSURED = 1 / 8;

/** How much more than needed is let go at a time, as a part of the limit, so that it is not looked for every time. */
const MARGIN = 1 / 16;

/** How much is let go for those who have waited for long, as a part of the limit. */
const ROOM = 1 / 8;

/** An account that holds this many times as much as another one holds far more. */
const FAR = 2;

/** All accounts are looked at no more often than this, in milliseconds. */
const LOOK_MS = 50;

/** Whoever holds requests for an account. */
export interface AccountHolder {
  /**
   * Refuses requests that no answer will end soon, the largest first, until so many bytes are let go, if not at once
   * then soon. Returns how many.
   */
  refuse(bytes: number): number;
  /** There may be room again; called while the account {@link Account.wait}s. */
  onRoomChanged(): void;
}

/** What one connection of a client holds. */
export class Account {
  /** Bytes held now. */
  held = 0;
  readonly #ledger: Ledger;
  readonly #holder: AccountHolder;

  constructor(ledger: Ledger, holder: AccountHolder) {
    this.#ledger = ledger;
    this.#holder = holder;
  }

  /** Adds bytes; true when that makes more than the account may hold. */
  take(bytes: number): boolean {
    const ledger = this.#ledger;
    this.held += bytes;
    ledger.held += bytes;
    if (this.held <= ledger.assured || this.held <= SHARE * (ledger.limit - ledger.held)) return false;
    ledger.relieveFor(this);
    return this.over;
  }

  /** Takes bytes off again. */
  give(bytes: number): void {
    this.held -= bytes;
    this.#ledger.onGiven(bytes);
  }

  /** Whether the account holds more than it may. */
  get over(): boolean {
    return this.excess > 0;
  }

  /** How many bytes have to go until it no longer does. */
  get excess(): number {
    if (this.held <= this.#ledger.assured) return 0;
    // What it lets go is free afterwards, so less than the difference will do.
    return Math.max(0, Math.ceil((this.held - SHARE * this.#ledger.free) / (SHARE + 1)));
  }

  /** {@link excess}, and a little more for what comes next. */
  get relief(): number {
    return this.excess + Math.ceil(this.held * MARGIN);
  }

  /** Whether it holds more than it could if there were no others. */
  get hopeless(): boolean {
    return this.held > (this.#ledger.limit * SHARE) / (SHARE + 1);
  }

  /** Whether large requests of this account should be received one after the other. */
  get crowded(): boolean {
    return this.held > SMALL && this.held * CROWD > this.#ledger.free;
  }

  /** Where all accounts together are over the limit, the ones that hold most let go of something. */
  relieveAll(): void {
    this.#ledger.relieve();
  }

  /** A request has waited for long: the accounts that hold most let go of something, so that others can go on. */
  makeRoom(): void {
    this.#ledger.makeRoom();
  }

  /** Whether all accounts together are over the limit. */
  get full(): boolean {
    return this.#ledger.free < 0;
  }

  /** The holder wants to hear when there may be room, until {@link stopWaiting}. */
  wait(): void {
    this.#ledger.waiting.add(this);
  }

  stopWaiting(): void {
    this.#ledger.waiting.delete(this);
  }

  /** The holder has stopped reading its client. */
  countHeldBack(): void {
    this.#ledger.heldBack++;
  }

  /** The holder has refused a request. */
  countRefused(): void {
    this.#ledger.refused++;
  }

  /** @internal */
  refuse(bytes: number): number {
    return this.#holder.refuse(bytes);
  }

  /** @internal */
  onRoomChanged(): void {
    this.#holder.onRoomChanged();
  }

  /** The connection is gone, and nothing is held for it any more. */
  close(): void {
    this.give(this.held);
    this.#ledger.onClosed(this);
  }
}

/** The accounts of all connections of clients, and their sum. */
export class Ledger {
  /** The most that may be held, in bytes. */
  readonly limit: number;
  /** What each account may hold whatever the others do, in bytes. */
  assured: number;
  /** Bytes held in all accounts. */
  held = 0;
  /** How often a client was no longer read because its connection held too much. */
  heldBack = 0;
  /** How many requests were refused because too much was held. */
  refused = 0;
  /** @internal */
  readonly waiting = new Set<Account>();
  readonly #accounts = new Set<Account>();
  #scheduled = false;
  #looked = Number.NEGATIVE_INFINITY;
  /** When accounts that hold far more than another one last failed to free enough; not tried again for LOOK_MS. */
  #lookedFor = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.limit = limit;
    this.assured = limit;
  }

  /** Bytes that may still be taken. */
  get free(): number {
    return this.limit - this.held;
  }

  /** Opens an account. */
  open(holder: AccountHolder): Account {
    const account = new Account(this, holder);
    this.#accounts.add(account);
    this.#share();
    return account;
  }

  /** @internal */
  onClosed(account: Account): void {
    this.#accounts.delete(account);
    this.waiting.delete(account);
    this.#share();
  }

  #share(): void {
    this.assured = Math.max(SMALL, (this.limit * ASSURED) / this.#accounts.size);
  }

  /** @internal Bytes were taken off an account: those that wait are told, all at once. */
  onGiven(bytes: number): void {
    this.held -= bytes;
    if (this.waiting.size === 0 || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const account of [...this.waiting]) account.onRoomChanged();
    });
  }

  /**
   * @internal An account holds more than it may. Accounts that hold FAR times as much let go first, since
   * they took it when more was free: until this account could become twice as large.
   */
  relieveFor({ held }: Account): void {
    const now = performance.now();
    if (now - this.#lookedFor < LOOK_MS) return;
    const goal = (2 * held) / SHARE;
    this.#refuse(goal - this.free, FAR * held);
    if (this.free < goal) this.#lookedFor = now;
  }

  /** @internal */
  relieve(): void {
    this.#letGo(this.limit * MARGIN - this.free);
  }

  /** @internal */
  makeRoom(): void {
    this.#letGo(this.limit * ROOM);
  }

  #letGo(bytes: number): void {
    const now = performance.now();
    if (now - this.#looked < LOOK_MS) return;
    this.#looked = now;
    this.#refuse(bytes, this.assured);
  }

  /** Lets those go that hold more than this, the largest first. */
  #refuse(bytes: number, above: number): void {
    const large = [...this.#accounts].filter(({ held }) => held > above).sort((a, b) => b.held - a.held);
    let needed = bytes;
    for (const account of large) {
      if (needed <= 0) return;
      needed -= account.refuse(needed);
    }
  }
}
