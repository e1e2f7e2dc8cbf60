/** A queue of byte chunks, kept by reference where that does not hold more memory, and taken out in pieces of any size. */

/** Where taken bytes go; implemented by the output of the connection. */
export interface ByteSink {
  bytes(part: Uint8Array): void;
}

/** A shorter chunk of a large buffer is copied, so that a queue of small slices does not hold many read buffers. Octets. */
const SMALL = 4096;

/** A larger buffer was read with more than one frame in it: what is small in it is copied before it is kept. Octets. */
export const LARGE_BUFFER = 16_384;

/** Places for chunks at first, and as many as an empty queue keeps; always a power of two. */
const PLACES = 8;
const MAX_IDLE_PLACES = 256;

const TAKEN = new Uint8Array(0);

/** First in, first out, by octets. The chunks stand in a ring. */
export class ByteQueue {
  /** Octets in the queue. */
  length = 0;
  private ring = places(PLACES);
  private first = 0;
  private count = 0;
  /** Octets of the first chunk that were taken already. */
  private offset = 0;

  /** Adds a chunk; it must not change any more. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const slice = chunk.length < SMALL && chunk.buffer.byteLength > LARGE_BUFFER;
    this.append(slice ? Buffer.from(chunk) : chunk);
  }

  /** Adds a copy of a short chunk, which may change afterwards. */
  pushCopy(chunk: Uint8Array): void {
    const copy = Buffer.allocUnsafe(chunk.length);
    copy.set(chunk);
    this.append(copy);
  }

  /** Moves the first `count` octets (at most `length`) into the sink. */
  take(count: number, sink: ByteSink): void {
    let left = count;
    this.length -= count;
    while (left > 0) {
      const chunk = this.ring[this.first] as Uint8Array;
      const end = Math.min(chunk.length, this.offset + left);
      sink.bytes(this.offset === 0 && end === chunk.length ? chunk : chunk.subarray(this.offset, end));
      left -= end - this.offset;
      this.offset = end;
      if (end === chunk.length) this.next();
    }
  }

  private append(chunk: Uint8Array): void {
    if (this.count === this.ring.length) this.grow();
    this.ring[(this.first + this.count) & (this.ring.length - 1)] = chunk;
    this.count++;
    this.length += chunk.length;
  }

  private next(): void {
    this.ring[this.first] = TAKEN;
    this.first = (this.first + 1) & (this.ring.length - 1);
    this.count--;
    this.offset = 0;
    if (this.count > 0 || this.ring.length <= MAX_IDLE_PLACES) return;
    this.ring = places(PLACES);
    this.first = 0;
  }

  /** Twice as many places, with the first chunk at the front. */
  private grow(): void {
    const { ring, first } = this;
    this.ring = ring.slice(first).concat(ring.slice(0, first), places(ring.length));
    this.first = 0;
  }
}

function places(count: number): Uint8Array[] {
  return new Array<Uint8Array>(count).fill(TAKEN);
}
