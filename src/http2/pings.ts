/**
 * PING frames (RFC 9113 section 6.7): our own, matched with their answers, and the enforcement of how
 * often the peer may send its own.
 */
import { ErrorCode, Http2Error } from './errors.ts';
import { FrameType, writeUint32 } from './frame.ts';
import type { Output } from './output.ts';
import type { Http2Settings } from './settings.ts';

/** Called when a PING was answered, or with an error when the connection ended before. */
export type PingDone = (error: Http2Error | undefined, rttMs: number) => void;

interface Sent {
  readonly number: number;
  readonly at: number;
  readonly done: PingDone;
}

/** The PINGs we sent that are not answered yet. */
export class Pings {
  private sent: Sent[] = [];
  private count = 0;

  /** Sends a PING; `done` is called exactly once. */
  send(output: Output, done: PingDone): void {
    const payload = Buffer.alloc(8);
    writeUint32(payload, 4, ++this.count);
    output.frame(FrameType.PING, 0, 0, payload);
    this.sent.push({ number: this.count, at: performance.now(), done });
  }

  /** An answer has arrived; ones that match no PING are ignored. */
  onAnswered(source: Buffer, start: number): void {
    const number = source.readUInt32BE(start + 4);
    const index = this.sent.findIndex((ping) => ping.number === number);
    const ping = this.sent[index];
    if (ping === undefined || source.readUInt32BE(start) !== 0) return;
    this.sent.splice(index, 1);
    ping.done(undefined, performance.now() - ping.at);
  }

  /** Fails all that wait: the connection is gone. @param error why, where it is not just closed */
  fail(error: Http2Error | undefined): void {
    const { sent } = this;
    if (sent.length === 0) return;
    this.sent = [];
    const reason = error ?? new Http2Error(ErrorCode.CANCEL, 'the connection is closed');
    for (const ping of sent) ping.done(reason, 0);
  }
}

/** Decides when a client pings too often, as gRPC servers do: strikes, forgiven whenever we send something. */
export class PingPolicy {
  private readonly settings: Http2Settings;
  private lastPing = Number.NEGATIVE_INFINITY;
  private strikes = 0;
  private forgivenAt = -1;

  constructor(settings: Http2Settings) {
    this.settings = settings;
  }

  /**
   * Counts a PING of the peer; false when it is one too many.
   * @param sent a number that moves whenever we send HEADERS or DATA
   */
  allow(now: number, openStreams: number, sent: number): boolean {
    const { settings } = this;
    if (settings.minPingIntervalMs <= 0) return true;
    const since = now - this.lastPing;
    this.lastPing = now;
    if (sent !== this.forgivenAt) {
      this.forgivenAt = sent;
      this.strikes = 0;
      return true;
    }
    const idle = openStreams === 0 && !settings.permitWithoutStream;
    const least = idle ? settings.minIdlePingIntervalMs : settings.minPingIntervalMs;
    if (since < least) this.strikes++;
    return this.strikes <= settings.maxPingStrikes;
  }
}
