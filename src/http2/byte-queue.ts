/** A queue of byte chunks, kept by reference where that does not hold more memory, and taken out in pieces of any size. */

/** Where taken bytes go; implemented by the output of the connection. */
export interface ByteSink {
  bytes(part: Uint8Array): void;
}

/** A shorter chunk of a buffer this large is copied, so that a queue of small slices does not hold many read buffers. */
const SMALL = 4096;
const LARGE_BUFFER = 16_384;

const TAKEN = new Uint8Array(0);

/** First in, first out, by octets. */
export class ByteQueue {
  /** Octets in the queue. */
  length = 0;
  private chunks: Uint8Array[] = [];
  private head = 0;
  private offset = 0;

  /** Adds a chunk; it must not change any more. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const slice = chunk.length < SMALL && chunk.buffer.byteLength > LARGE_BUFFER;
    this.chunks.push(slice ? Buffer.from(chunk) : chunk);
    this.length += chunk.length;
  }

  /** Adds a copy of a short chunk, which may change afterwards. */
  pushCopy(chunk: Uint8Array): void {
    const copy = Buffer.allocUnsafe(chunk.length);
    copy.set(chunk);
    this.chunks.push(copy);
    this.length += chunk.length;
  }

  /** Moves the first `count` octets (at most `length`) into the sink. */
  take(count: number, sink: ByteSink): void {
    let left = count;
    this.length -= count;
    while (left > 0) {
      const chunk = this.chunks[this.head] as Uint8Array;
      const end = Math.min(chunk.length, this.offset + left);
      sink.bytes(this.offset === 0 && end === chunk.length ? chunk : chunk.subarray(this.offset, end));
      left -= end - this.offset;
      this.offset = end;
      if (end === chunk.length) this.next();
    }
  }

  private next(): void {
    this.chunks[this.head++] = TAKEN;
    this.offset = 0;
    if (this.head < this.chunks.length && (this.head < 32 || this.head * 2 < this.chunks.length)) return;
    // In place: a new array would have to grow again with the next chunk.
    this.chunks.copyWithin(0, this.head);
    this.chunks.length -= this.head;
    this.head = 0;
  }
}
