/**
 * Which streams of a connection may receive more than their first window while memory is short: few at a time, so
 * that large requests are completed one after the other. Otherwise all of them would be half received when there is
 * no room for more, and none could ever be let go.
 */
import type { StreamInput } from './stream-input.ts';

/** Streams whose turn it is at a time. */
const TURNS = 8;

/** A stream that has not used its window in this time has lost its turn. Milliseconds. */
const TURN_MS = 1000;

/** Nothing is ever put in here: few connections come to this. */
const NOBODY = new Map<StreamInput, number>();
const NONE = new Set<StreamInput>();

/** The connection whose streams take turns. */
export interface TakingTurns {
  readonly now: number;
  readonly timeouts: { onTurnsTaken(ms: number, now: number): void };
  wake(): void;
}

/** The turns of one connection's streams. */
export class WindowTurns {
  private readonly connection: TakingTurns;
  private readonly account: { readonly crowded: boolean; wait(): void };
  /** Streams whose turn it is, each with the time of its latest window. */
  private now = NOBODY;
  private later = NONE;

  constructor(connection: TakingTurns, account: { readonly crowded: boolean; wait(): void }) {
    this.connection = connection;
    this.account = account;
  }

  /** Whether streams wait for their turn. */
  get waiting(): boolean {
    return this.later.size > 0;
  }

  /** Whether a stream may have its window back now, from who asks. If not, it gets it later, from here. */
  mayGrow(input: StreamInput): boolean {
    if (this.now.size === 0 && !this.account.crowded) return true;
    if (!this.account.crowded) {
      // Its window is not given back twice: the second one would be of nothing, an error (RFC 9113 section 6.9).
      this.later.delete(input);
      this.onRoomChanged();
      return true;
    }
    const { now } = this.connection;
    if (this.now.size < TURNS || this.now.has(input)) {
      this.begin(input, now);
      return true;
    }
    if (this.later === NONE) this.later = new Set();
    this.later.add(input);
    this.account.wait();
    this.connection.timeouts.onTurnsTaken(TURN_MS, now);
    return false;
  }

  /** A stream needs no more window. */
  onLeft(input: StreamInput): void {
    if (this.now.size === 0) return;
    this.later.delete(input);
    if (this.now.delete(input)) this.next();
  }

  /** There may be room again: then nobody has to wait. */
  onRoomChanged(): void {
    if (this.account.crowded) return;
    this.now.clear();
    const { later } = this;
    for (const input of later) input.grant();
    later.clear();
  }

  /** Time has passed: those who did not use their turn lose it. */
  onExpired(now: number): void {
    for (const [input, since] of this.now) if (now - since >= TURN_MS) this.now.delete(input);
    this.next();
    this.connection.wake();
    if (this.waiting) this.connection.timeouts.onTurnsTaken(TURN_MS, now);
  }

  private next(): void {
    for (const input of this.later) {
      if (this.now.size >= TURNS) return;
      this.later.delete(input);
      this.begin(input, performance.now());
      input.grant();
    }
  }

  private begin(input: StreamInput, now: number): void {
    if (this.now === NOBODY) this.now = new Map();
    this.now.set(input, now);
  }
}
