/**
 * Finds dead peers: after a time of silence it sends a PING, and gives the connection up when nothing at
 * all arrives for another while.
 */
import type { Http2Connection } from './connection.ts';
import { Deadline, type Watchdog } from './watchdog.ts';

/** Keepalive of one connection; driven by the deadlines KEEPALIVE and KEEPALIVE_ACK. */
export class Keepalive {
  private readonly connection: Http2Connection;
  private readonly watchdog: Watchdog;
  private pingedAt = 0;

  constructor(connection: Http2Connection, watchdog: Watchdog) {
    this.connection = connection;
    this.watchdog = watchdog;
  }

  /** Begins a time of waiting for silence. */
  start(now: number): void {
    this.watchdog.arm(Deadline.KEEPALIVE, this.connection.settings.keepaliveIntervalMs, now);
  }

  /** The interval is over: ping, unless something was heard in it. `heard` is the time of the last input. */
  intervalOver(heard: number, now: number): void {
    const { connection, watchdog } = this;
    const { keepaliveIntervalMs, keepaliveTimeoutMs, permitWithoutStream } = connection.settings;
    const left = heard + keepaliveIntervalMs - now;
    const unused = !connection.isServer && connection.openStreams === 0 && !permitWithoutStream;
    if (left > 0 || unused) {
      watchdog.arm(Deadline.KEEPALIVE, left > 0 ? left : keepaliveIntervalMs, now);
      return;
    }
    this.pingedAt = now;
    connection.ping((error) => {
      if (error !== undefined) return;
      watchdog.disarm(Deadline.KEEPALIVE_ACK);
      this.start(performance.now());
    });
    watchdog.arm(Deadline.KEEPALIVE_ACK, keepaliveTimeoutMs, now);
  }

  /** No answer in time; true when nothing else was heard either. */
  isDead(heard: number, now: number): boolean {
    if (heard <= this.pingedAt) return true;
    this.start(now);
    return false;
  }
}
