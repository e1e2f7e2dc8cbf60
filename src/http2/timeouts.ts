/** The times one connection may take, see the `...Ms` members of the settings: what starts, stops and follows them. */
import { ErrorCode } from './errors.ts';
import { Keepalive, type KeptConnection } from './keepalive.ts';
import type { LimitName } from './settings.ts';
import type { StreamTable } from './stream-table.ts';
import { Deadline, Watchdog } from './watchdog.ts';

/** The connection that may take so long. */
export interface TimedConnection extends KeptConnection {
  readonly now: number;
  readonly table: StreamTable;
  readonly away: { sendFinal(): void };
  readonly intake: { readonly turns: { onExpired(now: number): void } };
  /** Whether the peer's first SETTINGS have arrived. */
  readonly exchange: { readonly ready: boolean };
  /** A time has passed that a setting sets. */
  onTimedOut(limit: LimitName, code: number): void;
}

/** Watches over the peer's pace. */
export class Timeouts {
  private readonly connection: TimedConnection;
  private readonly watchdog: Watchdog;
  private readonly keepalive: Keepalive;
  private framesBefore = 0;
  private blockBefore = 0;
  private openedBefore = -1;

  constructor(connection: TimedConnection) {
    this.connection = connection;
    this.watchdog = new Watchdog((kind) => this.expired(kind));
    this.keepalive = new Keepalive(connection, this.watchdog);
  }

  /** The connection begins. */
  start(now: number): void {
    const { settings, exchange } = this.connection;
    if (!exchange.ready) this.watchdog.arm(Deadline.PREFACE, settings.prefaceTimeoutMs, now);
    this.watchdog.arm(Deadline.IDLE, settings.idleTimeoutMs, now);
    this.keepalive.start(now);
  }

  /** The connection is closed. */
  stop(): void {
    this.watchdog.stop();
  }

  /** The peer's first SETTINGS arrived: it is there, and so it has to acknowledge ours. */
  onPreface(): void {
    const { now, settings } = this.connection;
    this.watchdog.disarm(Deadline.PREFACE);
    this.watchdog.arm(Deadline.SETTINGS_ACK, settings.settingsTimeoutMs, now);
  }

  /** The peer acknowledged our SETTINGS. */
  onSettingsAcknowledged(): void {
    this.watchdog.disarm(Deadline.SETTINGS_ACK);
  }

  /** GOAWAY was announced: the final one follows, also without the PING's answer. */
  onDraining(): void {
    this.watchdog.arm(Deadline.DRAIN, this.connection.settings.keepaliveTimeoutMs, performance.now());
  }

  /**
   * Input was handled. A field block must not stay incomplete for long, nor a frame for very long.
   * @param block the stream of the field block that is incomplete, or 0
   * @param frames frames so far
   */
  onInput(partial: boolean, block: number, frames: number, now: number): void {
    const { watchdog, connection } = this;
    const { headersTimeoutMs, frameTimeoutMs } = connection.settings;
    if (block === 0) watchdog.disarm(Deadline.BLOCK);
    else if (block !== this.blockBefore) watchdog.arm(Deadline.BLOCK, headersTimeoutMs, now);
    this.blockBefore = block;
    if (!partial) watchdog.disarm(Deadline.FRAME);
    else if (frames !== this.framesBefore || !watchdog.armed(Deadline.FRAME))
      watchdog.arm(Deadline.FRAME, frameTimeoutMs, now);
    this.framesBefore = frames;
  }

  /** Something was given to the socket that it could not write at once. */
  onOutputWaits(): void {
    if (this.watchdog.armed(Deadline.WRITE)) return;
    this.watchdog.arm(Deadline.WRITE, this.connection.settings.writeTimeoutMs, performance.now());
  }

  /** The socket has written something; `busy` when more waits. */
  onOutputMoved(busy: boolean): void {
    if (!this.watchdog.armed(Deadline.WRITE)) return;
    this.watchdog.disarm(Deadline.WRITE);
    if (busy) this.onOutputWaits();
  }

  /** Streams wait for their turn: see `WindowTurns`. */
  onTurnsTaken(ms: number, now: number): void {
    if (!this.watchdog.armed(Deadline.TURNS)) this.watchdog.arm(Deadline.TURNS, ms, now);
  }

  private expired(kind: number): void {
    const { connection } = this;
    const now = performance.now();
    if (kind === Deadline.PREFACE) connection.onTimedOut('prefaceTimeoutMs', ErrorCode.SETTINGS_TIMEOUT);
    else if (kind === Deadline.SETTINGS_ACK)
      connection.onTimedOut('settingsTimeoutMs', ErrorCode.SETTINGS_TIMEOUT);
    else if (kind === Deadline.BLOCK) connection.onTimedOut('headersTimeoutMs', ErrorCode.ENHANCE_YOUR_CALM);
    else if (kind === Deadline.FRAME) connection.onTimedOut('frameTimeoutMs', ErrorCode.ENHANCE_YOUR_CALM);
    else if (kind === Deadline.WRITE) connection.onTimedOut('writeTimeoutMs', ErrorCode.ENHANCE_YOUR_CALM);
    else if (kind === Deadline.KEEPALIVE) this.keepalive.intervalOver(connection.now, now);
    else if (kind === Deadline.DRAIN) connection.away.sendFinal();
    else if (kind === Deadline.TURNS) connection.intake.turns.onExpired(now);
    else if (kind === Deadline.IDLE) this.checkIdle(now);
    else if (this.keepalive.isDead(connection.now, now)) {
      connection.onTimedOut('keepaliveTimeoutMs', ErrorCode.NO_ERROR);
    }
  }

  private checkIdle(now: number): void {
    const { connection } = this;
    const { opened, size } = connection.table;
    if (size === 0 && opened === this.openedBefore) {
      connection.reports.reached('idleTimeoutMs');
      connection.drain();
      return;
    }
    this.openedBefore = size === 0 ? opened : -1;
    this.watchdog.arm(Deadline.IDLE, connection.settings.idleTimeoutMs, now);
  }
}
