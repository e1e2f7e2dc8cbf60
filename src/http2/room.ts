/** Whether a connection takes large replies now: whoever makes them asks before, so that they do not pile up unread. */
import type { ReplyRoom } from './listener.ts';
import type { Reports } from './reports.ts';
import type { Http2Settings } from './settings.ts';

/** The connection whose room it is. */
export interface RoomyConnection {
  readonly scheduler: { readonly queued: number };
  readonly settings: Http2Settings;
  readonly reports: Reports;
  wake(): void;
}

export class Room implements ReplyRoom {
  private readonly connection: RoomyConnection;
  private wanted: (() => void) | undefined = undefined;

  constructor(connection: RoomyConnection) {
    this.connection = connection;
  }

  get free(): boolean {
    return this.connection.scheduler.queued <= this.connection.settings.connectionHighWaterMark;
  }

  whenFree(callback: () => void): void {
    this.wanted = callback;
    this.connection.wake();
  }

  /** @internal */
  onEndOfTurn(): void {
    const { wanted } = this;
    if (wanted === undefined || !this.free) return;
    this.wanted = undefined;
    this.connection.reports.tell(wanted);
  }
}
