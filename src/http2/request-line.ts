/**
 * The header fields of a client's requests, in the order of their streams. Header fields need no window of the
 * peer's, so they wait here while the socket takes nothing. The maker of the requests bounds how many wait; the
 * connection does not end because of them. A request that waits has certainly not been processed.
 */
import type { Output } from './output.ts';
import type { Stream } from './stream.ts';

/** Nothing is ever put in here. */
const NONE = new Set<Stream>();

/** Requests whose header fields were not appended to the output yet. */
export class RequestLine {
  private readonly output: Output;
  /** {@link NONE} until one waits; a server's never do. */
  private streams = NONE;

  constructor(output: Output) {
    this.output = output;
  }

  /** Whether requests wait. */
  get waiting(): boolean {
    return this.streams.size > 0;
  }

  /** Begins a request, at once where the socket has room. */
  begin(stream: Stream, block: Uint8Array, endStream: boolean): void {
    if (this.streams.size === 0 && !this.output.full) {
      this.output.headers(stream.id, block, endStream);
      if (endStream) stream.localEnd();
      return;
    }
    stream.unsent = block;
    if (endStream) stream.endWhenSent();
    if (this.streams === NONE) this.streams = new Set();
    this.streams.add(stream);
  }

  /** Sends what the socket has room for; not more than half of it, so that content comes through as well. */
  pump(): void {
    if (!this.waiting) return;
    const { output } = this;
    const most = output.pending + output.space / 2;
    for (const stream of this.streams) {
      if (output.full || output.pending > most) return;
      this.streams.delete(stream);
      this.send(stream);
    }
  }

  /** A request was given up. Its identifier is skipped (RFC 9113 section 5.1.1). */
  drop(stream: Stream): void {
    this.streams.delete(stream);
  }

  private send(stream: Stream): void {
    const { output } = this;
    const block = stream.unsent as Uint8Array;
    const ends = stream.endsAfterQueue && stream.queuedBytes === 0;
    stream.unsent = undefined;
    stream.epoch = output.epoch;
    output.headers(stream.id, block, ends);
    if (ends) stream.localEnd();
    else if (stream.queuedBytes > 0 && stream.sendWindow > 0) stream.connection.scheduler.add(stream);
  }
}
