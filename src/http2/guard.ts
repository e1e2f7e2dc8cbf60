/** What a peer must keep to: what its mistakes, resets and frames that carry nothing cost it. */
import { Brake, type BrakedConnection } from './brake.ts';
import { ErrorCode } from './errors.ts';
import { FrameType } from './frame.ts';
import { Gate, type GatedConnection } from './gate.ts';
import type { Output } from './output.ts';
import { PingPolicy } from './pings.ts';
import type { Stream } from './stream.ts';

/** A stream reset within so many milliseconds was hardly meant to be answered. */
const SOON_MS = 1000;

/** The connection whose peer is watched. */
interface GuardedConnection extends GatedConnection, BrakedConnection {
  readonly isServer: boolean;
  readonly openStreams: number;
  readonly output: Output;
}

/** Watches one connection's peer. */
export class Guard {
  /** Where new streams wait when too many were reset. */
  readonly gate: Gate;
  /** Stops reading when there are too many other frames. */
  readonly brake: Brake;
  private readonly connection: GuardedConnection;
  private readonly pingPolicy: PingPolicy;

  constructor(connection: GuardedConnection) {
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

  /** Counts a frame that costs the peer nothing and makes us work; throws when there are far too many. */
  countControl(): void {
    this.brake.count();
  }

  /** Counts a PING; throws when the client pings too often. */
  countPing(): void {
    const { connection } = this;
    if (!connection.isServer) return;
    if (!this.pingPolicy.allow(connection.now, connection.openStreams, connection.output.messages)) {
      throw connection.reports.over('minPingIntervalMs', 'too_many_pings');
    }
  }

  /**
   * The peer's mistake concerns one stream only (RFC 9113 section 5.4.2). A client opened that stream itself, so there
   * are no more of them than it has requests; its other ones have nothing to do with it.
   */
  streamError(stream: Stream, code: number): void {
    const begun = !stream.waits;
    stream.reset(code);
    if (!this.connection.isServer) return;
    if (begun) this.gate.onWasted();
    else this.countControl();
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
  resetByPeer(stream: Stream, code: number): void {
    const { isServer, now } = this.connection;
    const waited = stream.waits;
    const soon = now - stream.openedAt <= SOON_MS && !isDueToGo(stream, now);
    if (code === ErrorCode.REFUSED_STREAM && !isServer && !stream.answered) stream.unprocessed = true;
    stream.input.deliverComplete();
    stream.close(code, false);
    if (waited) this.countControl();
    else if (isServer && !stream.answered && soon) this.gate.onWasted();
  }
}

/**
 * Whether the time that the peer has announced has come, or nearly: the announcement may have been on its way for longer
 * than the reset.
 */
function isDueToGo({ openedAt, givenUpAt }: Stream, now: number): boolean {
  return now > openedAt && now - openedAt >= (givenUpAt - openedAt) / 2;
}
