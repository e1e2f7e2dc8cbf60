/**
 * Slows a peer down that sends too many frames which cost it nothing and make us work: nothing is read from it for a
 * slice of time, and TCP stops it. Everything under way on the connection lives on. Only a peer that has more of them
 * ready than may be read, for long, is cut off: a new connection would cost us more than a slow one.
 */
import { RateLimit } from './rate-limit.ts';
import type { Reports } from './reports.ts';
import type { Http2Settings } from './settings.ts';
import type { SocketLink } from './socket-link.ts';

/** How long nothing is read, in milliseconds. */
const SLICE_MS = 100;
/** A peer that uses up the frames of a slice in this part of it had them ready: it has sent more than may be read. */
const FLOOD_PART = 1 / 10;

const NOTHING = Buffer.alloc(0);

/** The connection that is slowed down. */
export interface BrakedConnection {
  readonly settings: Http2Settings;
  readonly reports: Reports;
  readonly link: SocketLink;
  readonly closed: boolean;
  readonly now: number;
  onReceived(chunk: Buffer): void;
}

/** The brake of one connection. */
export class Brake {
  /** Nothing is read. */
  on = false;
  private readonly connection: BrakedConnection;
  private readonly rate: RateLimit;
  private timer: NodeJS.Timeout | undefined;
  private releasedAt = Number.NEGATIVE_INFINITY;
  private floodMs = 0;

  constructor(connection: BrakedConnection) {
    this.connection = connection;
    const perSecond = connection.settings.maxControlFramesPerSecond;
    this.rate = new RateLimit(perSecond, perSecond, connection.now);
  }

  /** Counts a frame; throws when the peer has been flooding us for too long. */
  count(): void {
    const { connection } = this;
    if (this.rate.take(connection.now) || this.on || connection.closed) return;
    const flood = connection.now - this.releasedAt < SLICE_MS * FLOOD_PART;
    this.floodMs = flood ? this.floodMs + SLICE_MS : 0;
    if (this.floodMs > connection.settings.maxFloodMs)
      throw connection.reports.over('maxFloodMs', 'too many frames');
    if (!flood) connection.reports.reached('maxControlFramesPerSecond');
    this.on = true;
    connection.link.pause();
    this.wait();
  }

  /** The connection is closed. */
  stop(): void {
    clearTimeout(this.timer);
  }

  private wait(): void {
    this.timer = setTimeout(() => this.sliceOver(), SLICE_MS);
    this.timer.unref();
  }

  private sliceOver(): void {
    const { connection } = this;
    this.releasedAt = performance.now();
    if (!this.rate.hasRoom(this.releasedAt)) {
      this.wait();
      return;
    }
    this.on = false;
    // First what was read before.
    connection.onReceived(NOTHING);
    if (!this.on && !connection.closed) connection.link.resume();
  }
}
