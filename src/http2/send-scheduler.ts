/**
 * Decides which stream's queued data goes out next. Streams that have data and a window of their own stand
 * in a ring and send one frame each in turn, as long as the connection's window and the socket allow
 * (RFC 9113 section 5.2).
 */
import { FrameFlag, FrameType, MAX_31_BITS } from './frame.ts';
import type { Output } from './output.ts';
import type { Stream } from './stream.ts';

/** Data moved in one turn of the event loop, so that one connection does not keep the others waiting. */
const TURN_BUDGET = 1 << 20;

/** The send side of flow control of one connection, and the ring of the streams that wait. */
export class SendScheduler {
  /** The connection's send window. */
  window = 65_535;
  /** Octets queued in all streams. */
  queued = 0;
  private first: Stream | undefined;
  private last: Stream | undefined;

  /** True while some stream could send if the connection's window and the socket allowed. */
  get waiting(): boolean {
    return this.first !== undefined;
  }

  /** Puts a stream at the end of the ring, unless it is in it. */
  add(stream: Stream): void {
    if (stream.inRing) return;
    stream.inRing = true;
    stream.ringBefore = this.last;
    if (this.last === undefined) this.first = stream;
    else this.last.ringAfter = stream;
    this.last = stream;
  }

  /** Takes a stream out of the ring. */
  remove(stream: Stream): void {
    if (!stream.inRing) return;
    stream.inRing = false;
    if (stream.ringBefore === undefined) this.first = stream.ringAfter;
    else stream.ringBefore.ringAfter = stream.ringAfter;
    if (stream.ringAfter === undefined) this.last = stream.ringBefore;
    else stream.ringAfter.ringBefore = stream.ringBefore;
    stream.ringBefore = undefined;
    stream.ringAfter = undefined;
  }

  /** Adds to the connection's window; false when it overflows (RFC 9113 section 6.9.1). */
  credit(increment: number): boolean {
    this.window += increment;
    return this.window <= MAX_31_BITS;
  }

  /** Moves data from the streams into the output; true when it stopped only to let others have their turn. */
  pump(output: Output): boolean {
    let budget = TURN_BUDGET;
    while (this.first !== undefined && this.window > 0 && !output.full) {
      if (budget <= 0) return true;
      budget -= this.sendFrame(this.first, output);
    }
    return false;
  }

  private sendFrame(stream: Stream, output: Output): number {
    this.remove(stream);
    const queue = stream.queue;
    if (queue === undefined) return 0;
    const count = Math.min(queue.length, this.window, stream.sendWindow, output.maxFrame);
    const ends = count === queue.length && stream.endsAfterQueue;
    output.head(count, FrameType.DATA, ends ? FrameFlag.END_STREAM : 0, stream.id);
    queue.take(count, output);
    this.window -= count;
    this.queued -= count;
    stream.sendWindow -= count;
    if (queue.length > 0) {
      if (stream.sendWindow > 0) this.add(stream);
    }
    stream.afterQueueMoved(ends);
    return count;
  }
}
