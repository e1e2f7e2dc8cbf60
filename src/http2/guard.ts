/** The rates a peer must keep to, and the reporting of every bound that is reached. */
import type { Http2Connection } from './connection.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { PingPolicy } from './pings.ts';
import { RateLimit } from './rate-limit.ts';
import type { LimitName } from './settings.ts';

/** Watches one connection's peer. */
export class Guard {
  private readonly connection: Http2Connection;
  private readonly resets: RateLimit;
  private readonly controls: RateLimit;
  private readonly pingPolicy: PingPolicy;

  constructor(connection: Http2Connection) {
    const { settings } = connection;
    this.connection = connection;
    this.resets = new RateLimit(settings.maxResetsPerSecond, settings.maxResetsBurst);
    this.controls = new RateLimit(settings.maxControlFramesPerSecond, settings.maxControlFramesPerSecond);
    this.pingPolicy = new PingPolicy(settings);
  }

  /** Reports that a bound was reached. */
  reached(limit: LimitName): void {
    const { connection } = this;
    try {
      connection.listener.onLimit?.(connection, limit);
    } catch (failure) {
      connection.report(failure);
    }
  }

  /** Reports a bound; the result is the error that ends the connection for it. */
  over(limit: LimitName, message: string): Http2Error {
    this.reached(limit);
    return new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, message);
  }

  /** Counts a stream reset that cost us work for nothing; throws when there are too many. */
  countReset(): void {
    if (!this.resets.take(this.connection.now))
      throw this.over('maxResetsPerSecond', 'too many streams reset');
  }

  /** Counts a frame that makes us answer; throws when there are too many. */
  countControl(): void {
    if (!this.controls.take(this.connection.now)) {
      throw this.over('maxControlFramesPerSecond', 'too many control frames');
    }
  }

  /** Counts a PING; throws when the client pings too often. */
  countPing(): void {
    const { connection } = this;
    if (!connection.isServer) return;
    if (!this.pingPolicy.allow(connection.now, connection.openStreams, connection.output.messages)) {
      throw this.over('minPingIntervalMs', 'too_many_pings');
    }
  }
}
