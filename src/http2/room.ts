/** Whether a connection takes large replies now: whoever makes them asks before, so that they do not pile up unread. */
import type { Http2Connection } from './connection.ts';

export class Room {
  private readonly connection: Http2Connection;
  private wanted: (() => void) | undefined = undefined;

  constructor(connection: Http2Connection) {
    this.connection = connection;
  }

  /** Whether no more waits in the streams than `connectionHighWaterMark` says. */
  get free(): boolean {
    return this.connection.scheduler.queued <= this.connection.settings.connectionHighWaterMark;
  }

  /** Calls back once, at the end of the first turn from this one on at which there is room; for one caller only. */
  whenFree(callback: () => void): void {
    this.wanted = callback;
    this.connection.wake();
  }

  /** @internal */
  endOfTurn(): void {
    const { wanted } = this;
    if (wanted === undefined || !this.free) return;
    this.wanted = undefined;
    this.connection.guard.tell(wanted);
  }
}
