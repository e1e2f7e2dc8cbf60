/** Client role: how many streams the peer allows (SETTINGS_MAX_CONCURRENT_STREAMS), and when there is room again. */
import { MAX_31_BITS } from './frame.ts';
import type { GoingAway } from './going-away.ts';
import type { ConnectionHandle, ConnectionListener } from './listener.ts';
import type { Reports } from './reports.ts';
import type { SettingsExchange } from './settings-exchange.ts';
import type { StreamTable } from './stream-table.ts';

/** The connection that streams are opened on. */
export interface SlottedConnection extends ConnectionHandle {
  readonly listener: ConnectionListener;
  readonly reports: Reports;
  readonly away: GoingAway;
  readonly table: StreamTable;
  readonly exchange: SettingsExchange;
}

export class StreamSlots {
  private readonly connection: SlottedConnection;
  private out = false;

  constructor(connection: SlottedConnection) {
    this.connection = connection;
  }

  /** Whether a stream can be opened. */
  get available(): boolean {
    const { closed, isServer, away, table, exchange, settings } = this.connection;
    if (closed || isServer || away.draining || table.nextId > MAX_31_BITS) return false;
    return table.size < (exchange.ready ? exchange.peer.maxConcurrentStreams : settings.initialStreamLimit);
  }

  /** A stream was opened. */
  onTaken(): void {
    this.out = !this.available;
  }

  /** The peer's limit may be another one. */
  onChanged(): void {
    this.out ||= !this.available;
  }

  /** A stream has ended, or the limit has changed: the listener is told when there is room again. */
  onFreed(): void {
    const { connection } = this;
    if (!this.out || !this.available) return;
    this.out = false;
    connection.reports.tell(() => connection.listener.onStreamSlots(connection));
  }
}
