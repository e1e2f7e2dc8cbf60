/** What arrived for a paused stream, in order, until its reader resumes. Bounded by the stream's window. */
import type { HeaderList } from './hpack/header-block.ts';

/**
 * Smaller slices are copied together, so that they neither keep the whole buffer they were read into
 * alive nor cost an object each: a peer may send a window full of frames of one octet.
 */
const COPY_BELOW = 8192;
const FIRST_BLOCK = 256;

/** Header fields that wait: final response headers, or trailers. */
export class HeldHeaders {
  readonly list: HeaderList;
  readonly trailers: boolean;
  readonly endStream: boolean;

  constructor(list: HeaderList, trailers: boolean, endStream: boolean) {
    this.list = list;
    this.trailers = trailers;
    this.endStream = endStream;
  }
}

/** A queue of data and header fields; first in, first out. */
export class HeldInput {
  /** Octets of data in the queue. */
  bytes = 0;
  /** When its reader last took something, or stopped to, in milliseconds of the connection's clock. */
  since: number;
  private items: (Buffer | HeldHeaders)[] = [];
  private head = 0;
  /** Where small data is collected, after all items. */
  private block: Buffer | undefined = undefined;
  private used = 0;
  private blockSize = FIRST_BLOCK;

  constructor(now: number) {
    this.since = now;
  }

  /** Adds data. */
  data(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (chunk.length >= COPY_BELOW) {
      this.seal();
      this.items.push(chunk);
      return;
    }
    if (this.block === undefined || this.used + chunk.length > this.block.length) {
      this.seal();
      this.block = Buffer.allocUnsafeSlow(Math.max(this.blockSize, chunk.length));
      this.blockSize = Math.min(4 * this.blockSize, COPY_BELOW);
    }
    this.used += chunk.copy(this.block, this.used);
  }

  /** Adds header fields. */
  headers(headers: HeldHeaders): void {
    this.seal();
    this.items.push(headers);
  }

  /** Takes the oldest item out; undefined when nothing is left. */
  next(): Buffer | HeldHeaders | undefined {
    if (this.head === this.items.length) this.seal();
    const item = this.items[this.head];
    if (item === undefined) return undefined;
    if (item instanceof Buffer) this.bytes -= item.length;
    this.head++;
    if (this.head > 32 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  /** What was collected becomes an item. */
  private seal(): void {
    if (this.block !== undefined) this.items.push(this.block.subarray(0, this.used));
    this.block = undefined;
    this.used = 0;
  }
}
