/**
 * The receive side of the connection's flow control (RFC 9113 section 6.9). Octets are given back when
 * they arrive, not when a stream's reader takes them, so that paused streams do not starve the others;
 * only when very much is held for them does the window stay shut, and a client lets go of one of them. A
 * server's `RequestIntake` shuts it too, when too much is held for the requests of the connection.
 */
import { ErrorCode, Http2Error } from './errors.ts';
import { FrameType } from './frame.ts';
import type { Output } from './output.ts';

/** Window of one connection for what the peer sends. */
export class ReceiveWindow {
  /** Octets kept for paused streams. */
  held = 0;
  /** Nothing is given back. */
  shut = false;
  private readonly size: number;
  private readonly maxHeld: number;
  private window: number;
  private owed = 0;

  constructor(size: number, maxHeld: number) {
    this.size = size;
    this.window = size;
    this.maxHeld = maxHeld;
  }

  /** Counts a DATA frame's payload; @throws Http2Error FLOW_CONTROL_ERROR for more than the window. */
  take(octets: number, output: Output): void {
    if (octets > this.window)
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'connection window exceeded');
    this.window -= octets;
    this.owed += octets;
    this.giveBack(output);
  }

  /** Whether more is kept than may be: until less is, nothing is given back. */
  get holdsTooMuch(): boolean {
    return this.held > this.maxHeld;
  }

  /** Octets are kept for a paused stream. */
  hold(octets: number): void {
    this.held += octets;
  }

  /** Octets kept for a paused stream were delivered or dropped. */
  release(octets: number, output: Output): void {
    this.held -= octets;
    this.giveBack(output);
  }

  /** The end of {@link shut}. */
  open(output: Output): void {
    if (!this.shut) return;
    this.shut = false;
    this.giveBack(output);
  }

  private giveBack(output: Output): void {
    if (this.owed * 2 < this.size || this.holdsTooMuch || this.shut) return;
    output.number(FrameType.WINDOW_UPDATE, 0, this.owed);
    this.window += this.owed;
    this.owed = 0;
  }
}
