/** What arrived for a paused stream, in order, until its reader resumes. Bounded by the stream's window. */
import type { HeaderList } from './hpack/header-block.ts';

/** Smaller slices are copied, so that they do not keep the whole buffer they were read into alive. */
const COPY_BELOW = 8192;

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
  private items: (Buffer | HeldHeaders)[] = [];
  private head = 0;

  /** Adds data. */
  data(chunk: Buffer): void {
    this.items.push(chunk.length < COPY_BELOW ? Buffer.from(chunk) : chunk);
    this.bytes += chunk.length;
  }

  /** Adds header fields. */
  headers(headers: HeldHeaders): void {
    this.items.push(headers);
  }

  /** Takes the oldest item out; undefined when nothing is left. */
  next(): Buffer | HeldHeaders | undefined {
    const item = this.items[this.head];
    if (item === undefined) return undefined;
    if (item instanceof Buffer) this.bytes -= item.length;
    this.head++;
    if (this.head === this.items.length || this.head === 256) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }
}
