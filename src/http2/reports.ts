/**
 * What one connection tells its owner: bounds that were reached, and listeners that have thrown. Whatever a listener
 * throws gets no further than here.
 */
import { ErrorCode, Http2Error } from './errors.ts';
import type { ConnectionHandle, ConnectionListener } from './listener.ts';
import type { LimitName } from './settings.ts';

/** Speaks to the owner of one connection. */
export class Reports {
  private readonly connection: ConnectionHandle;
  private readonly listener: ConnectionListener;

  constructor(connection: ConnectionHandle, listener: ConnectionListener) {
    this.connection = connection;
    this.listener = listener;
  }

  /** Calls a listener; what it throws is reported. */
  tell(call: () => void): void {
    try {
      call();
    } catch (failure) {
      this.report(failure);
    }
  }

  /** Asks a listener; where it throws, which is reported, the answer is `otherwise`. */
  ask<T>(question: () => T, otherwise: T): T {
    try {
      return question();
    } catch (failure) {
      this.report(failure);
      return otherwise;
    }
  }

  /**
   * Reports what a listener threw. If the owner has no `onFailure`, or that throws too, it becomes an uncaught
   * exception.
   */
  report(failure: unknown): void {
    const { listener } = this;
    try {
      if (listener.onFailure === undefined) throw failure;
      listener.onFailure(this.connection, failure);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Reports that a bound was reached. */
  reached(limit: LimitName): void {
    this.tell(() => this.listener.onLimit?.(this.connection, limit));
  }

  /** Reports a bound; the result is the error that ends the connection for it. */
  over(limit: LimitName, message: string): Http2Error {
    this.reached(limit);
    return new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, message);
  }
}
