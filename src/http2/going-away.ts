/**
 * The graceful end of a connection (RFC 9113 section 6.8). A server that drains first announces it with
 * the highest identifier there is, so that no request under way is lost, and names the real last stream
 * after a PING round trip. Either side closes when the last stream has ended.
 */
import { debugText, ErrorCode, Http2Error } from './errors.ts';
import { MAX_31_BITS } from './frame.ts';
import type { ConnectionHandle, ConnectionListener } from './listener.ts';
import type { Output } from './output.ts';
import type { Reports } from './reports.ts';
import type { StreamTable } from './stream-table.ts';
import type { Timeouts } from './timeouts.ts';

/** The connection that comes to its end. */
export interface EndingConnection extends ConnectionHandle {
  readonly listener: ConnectionListener;
  readonly reports: Reports;
  readonly output: Output;
  readonly table: StreamTable;
  wake(): void;
}

/** What is known about the end of one connection. */
export class GoingAway {
  /** We are draining. */
  started = false;
  /** Why the peer goes away, when it said so with an error code. */
  reason: Http2Error | undefined;
  private readonly connection: EndingConnection;
  private readonly timeouts: Timeouts;
  private final = false;
  private finalId = MAX_31_BITS;
  private peerLast = MAX_31_BITS;
  private received = false;

  constructor(connection: EndingConnection, timeouts: Timeouts) {
    this.connection = connection;
    this.timeouts = timeouts;
  }

  /** True once either side has sent GOAWAY. */
  get draining(): boolean {
    return this.started || this.received;
  }

  /** True once streams that the peer opens are behind our last GOAWAY, and to be ignored. */
  get ignoresNewStreams(): boolean {
    return this.final;
  }

  /** The last stream of the peer that we serve, as our next GOAWAY names it; it never rises once named. */
  get lastServed(): number {
    const { isServer, table } = this.connection;
    return isServer ? Math.min(table.lastPeerId, this.finalId) : 0;
  }

  /** True when nothing is left to wait for. */
  get finished(): boolean {
    return (this.final || this.received) && this.connection.openStreams === 0;
  }

  /** Begins to drain. */
  start(): void {
    if (this.started) return;
    this.started = true;
    const { connection } = this;
    if (!connection.isServer) {
      this.sendFinal();
      return;
    }
    connection.output.goaway(MAX_31_BITS, ErrorCode.NO_ERROR, '');
    this.timeouts.onDraining();
    connection.ping((error) => {
      if (error === undefined) this.sendFinal();
    });
  }

  /** Names the last stream we serve. */
  sendFinal(): void {
    if (this.final) return;
    this.final = true;
    const { connection } = this;
    this.finalId = connection.table.lastPeerId;
    connection.output.goaway(this.lastServed, ErrorCode.NO_ERROR, '');
    connection.wake();
  }

  /** The peer sent GOAWAY: streams of ours above its last one were not processed, nor those not sent yet. */
  receive(last: number, code: number, debug: Buffer): void {
    const { connection } = this;
    this.received = true;
    if (code !== ErrorCode.NO_ERROR)
      this.reason = new Http2Error(code, `GOAWAY from the peer${debugText(debug)}`);
    this.peerLast = Math.min(this.peerLast, last);
    connection.wake();
    connection.reports.tell(() => connection.listener.onGoaway(connection, last, code, debug));
    if (connection.isServer) return;
    for (const stream of connection.table.values()) {
      if (stream.id <= this.peerLast && stream.unsent === undefined) continue;
      stream.unprocessed = true;
      stream.close(ErrorCode.REFUSED_STREAM, false);
    }
  }
}
