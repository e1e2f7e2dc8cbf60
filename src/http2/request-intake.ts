/**
 * What a server holds for the requests of one connection: counted on an account from the header fields on, until the
 * stream ends or its owner has passed the content on. Many connections share the memory behind the accounts; when
 * this one has more than its share, its window stays shut while answers will set memory free, and otherwise the
 * largest requests that are not complete are refused.
 */
import { callTooMuch } from './dispatch.ts';
import { ErrorCode } from './errors.ts';
import type { Output } from './output.ts';
import type { ReceiveWindow } from './receive-window.ts';
import type { Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';
import { type TakingTurns, WindowTurns } from './window-turns.ts';

/** What an open stream costs beside its header fields and content. Measured: 1.7 to 3.6 kB for a watch, in all its objects. */
export const STREAM_OCTETS = 4096;

/** A stream that has work behind it, such as a watch, is not refused for less than this. */
const BEGUN_OCTETS = 16 << 10;

/**
 * When at least this part of what is held belongs to requests that wait for answers, the answers will free memory;
 * unless all accounts together are over the limit, nothing is refused then.
 */
const WAITING_PART = 1 / 16;

/** Streams are not looked through more often than this, in milliseconds. */
const LOOK_MS = 50;

/** What one connection holds. All accounts share a limit, which their owner knows. */
export interface RequestAccount {
  readonly held: number;
  /** Adds octets; true when that makes more than may be held. */
  take(octets: number): boolean;
  give(octets: number): void;
  /** More is held than may be. */
  readonly over: boolean;
  /** How much should go then. */
  readonly relief: number;
  /** All accounts together are over the limit. */
  readonly full: boolean;
  /** Large requests should be received one after the other. */
  readonly crowded: boolean;
  /** The largest accounts should let go of something. */
  relieveAll(): void;
  wait(): void;
  stopWaiting(): void;
  countHeldBack(): void;
  countRefused(): void;
  close(): void;
}

/** Opens the account of a connection. */
export interface RequestAccounts {
  open(holder: Pick<RequestIntake, 'refuse' | 'onRoomChanged'>): RequestAccount;
}

const nothing = (): void => {};

/** The account of a connection whose owner does not count. */
const UNCOUNTED: RequestAccount = {
  held: 0,
  take: () => false,
  give: nothing,
  over: false,
  relief: 0,
  full: false,
  crowded: false,
  relieveAll: nothing,
  wait: nothing,
  stopWaiting: nothing,
  countHeldBack: nothing,
  countRefused: nothing,
  close: nothing,
};

/** The connection whose requests are counted. */
export interface CountedConnection extends TakingTurns {
  readonly table: StreamTable;
  readonly receiver: ReceiveWindow;
  readonly output: Output;
}

/** The memory for the requests of one connection. */
export class RequestIntake {
  readonly turns: WindowTurns;
  private readonly connection: CountedConnection;
  private readonly account: RequestAccount;
  /** Octets of requests that are complete, or have been passed on and wait. */
  private waiting = 0;
  private looked = Number.NEGATIVE_INFINITY;

  constructor(connection: CountedConnection, accounts: RequestAccounts | undefined) {
    this.connection = connection;
    this.account = accounts?.open(this) ?? UNCOUNTED;
    this.turns = new WindowTurns(connection, this.account);
  }

  /** A stream was opened with header fields of this size. */
  onOpened(stream: Stream, fields: number): void {
    this.onArrived(stream, STREAM_OCTETS + fields);
    // A request without content is complete at once, and no window limits such requests. Nothing was done for it yet, so it
    // may be refused.
    if (stream.input.ended && !stream.closed && this.overAndFull) this.refuseOne(stream);
  }

  /** Octets have arrived on a stream. */
  onArrived(stream: Stream, octets: number): void {
    stream.input.charged += octets;
    if (this.account.take(octets)) this.tooMuch(stream);
  }

  /**
   * Counts octets beyond those that arrived, such as an unpacked message. False: there is no room, and the request
   * must be refused.
   */
  charge(stream: Stream, octets: number): boolean {
    this.onArrived(stream, octets);
    if (stream.closed) return true;
    if (stream.input.ended) this.onCompleted(stream);
    if (!this.overAndFull || stream.input.refused) return true;
    stream.input.refused = true;
    this.account.countRefused();
    return false;
  }

  /** The request is complete. */
  onCompleted(stream: Stream): void {
    const { input } = stream;
    this.waiting += input.charged - input.waiting;
    input.waiting = input.charged;
    this.turns.onLeft(input);
  }

  /** Octets of a stream were passed on. */
  release(stream: Stream, octets: number): void {
    stream.input.charged -= octets;
    stream.input.begun = true;
    this.account.give(octets);
  }

  /** The owner keeps octets of a stream for a while; negative: no longer. */
  hold(stream: Stream, octets: number): void {
    const { input } = stream;
    input.charged += octets;
    input.waiting += octets;
    this.waiting += octets;
    if (octets < 0) this.account.give(-octets);
    else if (this.account.take(octets)) {
      this.account.wait();
      if (this.overAndFull && octets > BEGUN_OCTETS) setImmediate(() => this.refuseLate(stream));
    }
  }

  /** A stream is closed. */
  onClosed(stream: Stream): void {
    const { input } = stream;
    this.turns.onLeft(input);
    this.waiting -= input.waiting;
    this.account.give(input.charged);
    input.charged = 0;
    input.waiting = 0;
  }

  /** A part of a field block has arrived (negative: it is whole); false when there is no room for it. */
  fragment(octets: number): boolean {
    if (octets < 0) this.account.give(-octets);
    else if (this.account.take(octets) && this.account.full) this.account.relieveAll();
    return octets < 0 || !this.account.over || !this.account.full;
  }

  /** The connection is closed. */
  close(): void {
    this.account.close();
  }

  /** Refuses streams whose requests are not complete, the largest first and of equal ones the youngest. */
  refuse(octets: number): number {
    const streams = [...this.connection.table.each()].filter(mayRefuse);
    streams.sort((a, b) => b.input.charged - a.input.charged || b.id - a.id);
    let gone = 0;
    for (const stream of streams) {
      if (gone >= octets) break;
      gone += stream.input.charged;
      this.refuseOne(stream);
    }
    return gone;
  }

  /** There may be room again. */
  onRoomChanged(): void {
    const { account, connection } = this;
    if (!account.over) connection.receiver.open(connection.output);
    else if (!this.answersHelp()) this.refuse(account.relief);
    this.turns.onRoomChanged();
    if (!connection.receiver.shut && !this.turns.waiting) account.stopWaiting();
    connection.wake();
  }

  /** The connection holds more than it may, and this stream has received something. */
  private tooMuch(stream: Stream): void {
    const { account, connection } = this;
    if (!account.full && this.answersHelp()) {
      this.shutWindow();
      return;
    }
    if (connection.now - this.looked >= LOOK_MS) {
      this.looked = connection.now;
      if (account.full) account.relieveAll();
      else this.refuse(account.relief);
    }
    if (!account.over) return;
    if (mayRefuse(stream)) this.refuseOne(stream);
    if (account.over && this.answersHelp()) this.shutWindow();
  }

  private get overAndFull(): boolean {
    return this.account.over && this.account.full;
  }

  /** A large message was passed on to an owner who keeps it; it is refused when that owner is done with it. */
  private refuseLate(stream: Stream): void {
    if (!stream.closed && !stream.input.refused && this.overAndFull) this.refuseOne(stream);
  }

  private answersHelp(): boolean {
    return this.waiting >= this.account.held * WAITING_PART;
  }

  private shutWindow(): void {
    const { receiver } = this.connection;
    if (receiver.shut) return;
    receiver.shut = true;
    this.account.wait();
    this.account.countHeldBack();
  }

  private refuseOne(stream: Stream): void {
    stream.input.refused = true;
    this.account.countRefused();
    // To gRPC this code means the same as the status that the owner would have sent.
    if (!callTooMuch(stream) && !stream.closed) stream.reset(ErrorCode.ENHANCE_YOUR_CALM);
  }
}

/** Whether refusing a stream loses only a request that is not complete. */
function mayRefuse({ closed, input }: Stream): boolean {
  if (closed || input.ended || input.refused) return false;
  return !input.begun || input.charged - input.waiting > BEGUN_OCTETS + STREAM_OCTETS;
}
