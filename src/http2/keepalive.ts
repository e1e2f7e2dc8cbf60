/**
 * Finds dead peers: after a time of silence it sends a PING, and gives the connection up when nothing at
 * all arrives for another while.
 */

import type { ConnectionHandle, ConnectionListener } from './listener.ts';
import type { Reports } from './reports.ts';
import { Deadline, type Watchdog } from './watchdog.ts';

/** The connection that is kept alive. */
export interface KeptConnection extends ConnectionHandle {
  readonly listener: ConnectionListener;
  readonly reports: Reports;
  readonly handler: { readonly messages: number };
}

/** Keepalive of one connection; driven by the deadlines KEEPALIVE and KEEPALIVE_ACK. */
export class Keepalive {
  private readonly connection: KeptConnection;
  private readonly watchdog: Watchdog;
  private pingedAt = 0;
  /** HEADERS and DATA frames of the peer when it answered the last PING; before the first PING there is no such number. */
  private messagesThen = -1;

  constructor(connection: KeptConnection, watchdog: Watchdog) {
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
    const { keepaliveIntervalMs, keepaliveTimeoutMs } = connection.settings;
    const left = heard + keepaliveIntervalMs - now;
    if (left > 0 || !this.mayPing()) {
      watchdog.arm(Deadline.KEEPALIVE, left > 0 ? left : keepaliveIntervalMs, now);
      return;
    }
    this.pingedAt = now;
    connection.ping((error) => {
      if (error !== undefined) return;
      watchdog.disarm(Deadline.KEEPALIVE_ACK);
      this.messagesThen = connection.handler.messages;
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

  /** Whether a PING is called for, and the listener has nothing against it. */
  private mayPing(): boolean {
    const { connection } = this;
    if (connection.isServer) return true;
    if (connection.openStreams === 0 && !connection.settings.permitWithoutStream) return false;
    const quiet = connection.handler.messages === this.messagesThen;
    const { listener } = connection;
    const allowed = connection.reports.ask(() => listener.onKeepalive?.(connection, quiet) ?? true, true);
    return allowed && !connection.closed;
  }
}
