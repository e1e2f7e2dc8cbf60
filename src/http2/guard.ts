/** What a peer must keep to, and the reporting of every bound that is reached. */
import { Brake } from './brake.ts';
import type { Http2Connection } from './connection.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { FrameType } from './frame.ts';
import { Gate } from './gate.ts';
import { PingPolicy } from './pings.ts';
import type { LimitName } from './settings.ts';
import type { Http2Stream } from './stream.ts';

/** A stream reset within so many milliseconds was hardly meant to be answered. */
const SOON_MS = 1000;

/** Watches one connection's peer. */
export class Guard {
  /** Where new streams wait when too many were reset. */
  readonly gate: Gate;
  /** Stops reading when there are too many other frames. */
  readonly brake: Brake;
  private readonly connection: Http2Connection;
  private readonly pingPolicy: PingPolicy;

  constructor(connection: Http2Connection) {
    const { settings } = connection;
    this.connection = connection;
    this.gate = new Gate(connection);
    this.brake = new Brake(connection);
    this.pingPolicy = new PingPolicy(settings);
  }

  /** The connection is closed. */
  stop(): void {
    this.gate.stop();
    this.brake.stop();
  }

  /** Calls a listener; what it throws is reported. */
  tell(call: () => void): void {
    try {
      call();
    } catch (failure) {
      this.report(failure);
    }
  }

  /** A listener has thrown. Nobody to tell, or that throws too: it becomes an uncaught exception. */
  report(failure: unknown): void {
    const { connection } = this;
    try {
      if (connection.listener.onFailure === undefined) throw failure;
      connection.listener.onFailure(connection, failure);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Reports that a bound was reached. */
  reached(limit: LimitName): void {
    const { connection } = this;
    this.tell(() => connection.listener.onLimit?.(connection, limit));
  }

  /** Reports a bound; the result is the error that ends the connection for it. */
  over(limit: LimitName, message: string): Http2Error {
    this.reached(limit);
    return new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, message);
  }

  /** Counts a frame that costs the peer nothing and makes us work; throws when there are far too many. */
  countControl(): void {
    this.brake.count();
  }

  /** Counts a PING; throws when the client pings too often. */
  countPing(): void {
    const { connection } = this;
    if (!connection.isServer) return;
    if (!this.pingPolicy.allow(connection.now, connection.openStreams, connection.output.messages)) {
      throw this.over('minPingIntervalMs', 'too_many_pings');
    }
  }

  /**
   * The peer's mistake concerns one stream only (RFC 9113 section 5.4.2). A client opened that stream itself, so there
   * are no more of them than it has requests; its other ones have nothing to do with it.
   */
  streamError(stream: Http2Stream, code: number): void {
    const begun = !stream.waits;
    stream.reset(code);
    if (!this.connection.isServer) return;
    if (begun) this.gate.wasted();
    else this.countControl();
  }

  /**
   * Client role: too much is kept for paused streams. The one that has been paused for longest goes: readers of
   * different streams have nothing to do with each other, and a shut window would stop them all.
   */
  dropSlowest(): void {
    const { table } = this.connection;
    let slowest: Http2Stream | undefined;
    for (const stream of table.values()) {
      if (slowest === undefined || stream.input.waitingSince < slowest.input.waitingSince) slowest = stream;
    }
    if (slowest === undefined) return;
    this.reached('maxHeldBytes');
    slowest.tooSlow = true;
    slowest.reset(ErrorCode.ENHANCE_YOUR_CALM);
  }

  /** Resets a stream that is not in the table. */
  refuse(id: number, code: number): void {
    this.connection.output.number(FrameType.RST_STREAM, id, code);
    this.countControl();
  }

  /**
   * RST_STREAM has arrived. Work was wasted when it comes soon, before an answer and unannounced (CVE-2023-44487);
   * many calls that are given up after a while, or when a deadline passes, are no attack.
   */
  resetByPeer(stream: Http2Stream, code: number): void {
    const { isServer, now } = this.connection;
    const waited = stream.waits;
    const soon = now - stream.openedAt <= SOON_MS && !isDueToGo(stream, now);
    if (code === ErrorCode.REFUSED_STREAM && !isServer && !stream.answered) stream.unprocessed = true;
    stream.input.deliverComplete();
    stream.close(code, false);
    if (waited) this.countControl();
    else if (isServer && !stream.answered && soon) this.gate.wasted();
  }
}

/**
 * Whether the time that the peer has announced has come, or nearly: the announcement may have been on its way for longer
 * than the reset.
 */
function isDueToGo({ openedAt, givenUpAt }: Http2Stream, now: number): boolean {
  return now > openedAt && now - openedAt >= (givenUpAt - openedAt) / 2;
}
