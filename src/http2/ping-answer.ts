/**
 * The answer to a PING (RFC 9113 section 6.7). gRPC's ends send one with the first data they get, to learn how long a round
 * trip takes, so a quiet connection carries one with each message; an answer of its own would cost a write here and a read
 * there. So it goes with what is sent next, and by itself when nothing is sent for a few milliseconds.
 */
import { FrameFlag, FrameType, writeUint32 } from './frame.ts';
import type { Output } from './output.ts';

/** How long an answer waits for company. Milliseconds. */
const COMPANY_MS = 5;

/** The connection that has to answer. */
export interface AskedConnection {
  readonly closed: boolean;
  readonly output: Output;
  wake(): void;
}

/** Answers that wait, of all connections. */
let waiting: PingAnswer[] = [];

function sendAll(): void {
  const now = waiting;
  waiting = [];
  for (const answer of now) answer.onWaitedEnough();
}

/** Answers each PING of one connection's peer once, in their order. */
export class PingAnswer {
  private readonly connection: AskedConnection;
  private owed = false;
  /** In the list of those that wait. */
  private listed = false;
  private high = 0;
  private low = 0;

  constructor(connection: AskedConnection) {
    this.connection = connection;
  }

  /** A PING has arrived. Only one answer waits: whoever sends a second PING gets both at once. */
  owe(source: Buffer, start: number): void {
    const second = this.owed;
    if (second) this.send();
    this.high = source.readUInt32BE(start);
    this.low = source.readUInt32BE(start + 4);
    this.owed = true;
    if (second) this.sendNow();
    else if (!this.listed) this.wait();
  }

  /** Appends the answer, if one is owed. */
  send(): void {
    if (!this.owed) return;
    this.owed = false;
    const payload = Buffer.allocUnsafe(8);
    writeUint32(payload, 0, this.high);
    writeUint32(payload, 4, this.low);
    this.connection.output.frame(FrameType.PING, FrameFlag.ACK, 0, payload);
  }

  /** The answer has had its time. */
  onWaitedEnough(): void {
    this.listed = false;
    if (this.owed && !this.connection.closed) this.sendNow();
  }

  private sendNow(): void {
    this.send();
    this.connection.wake();
  }

  private wait(): void {
    this.listed = true;
    if (waiting.length === 0) setTimeout(sendAll, COMPANY_MS);
    waiting.push(this);
  }
}
