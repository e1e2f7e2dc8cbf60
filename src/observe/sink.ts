/**
 * Writes lines to standard output or standard error without ever waiting: a full disk, a reader that has stopped or
 * gone, or a descriptor that cannot be written costs lines, which are counted, and no time.
 */
import { write, writeSync } from 'node:fs';
import { type Descriptor, openDescriptor } from './descriptor.ts';

/** Bytes that wait for a reader; a line that does not fit is lost. */
const MAX_WAITING_BYTES = 1 << 20;

/** Bytes given to one write, unless a single line is longer. */
const CHUNK_BYTES = 64 << 10;

/** How often, in milliseconds, a descriptor that took nothing is tried again. */
const RETRY_MS = 50;

/** How often at the end of the program, and for how long. */
const EXIT_RETRY_MS = 5;
const EXIT_MS = 1000;

const NEWLINE = Buffer.from('\n');

/** The way of lines to a descriptor. Never throws, never waits. */
export class Sink {
  /** Lines that were not written, or in part only. */
  lost = 0;
  /** Is told, when lines are written again, how many were lost. */
  onRecovery: ((lost: number) => void) | undefined;
  readonly #descriptor: Descriptor;
  readonly #lines: Buffer[] = [];
  #waitingBytes = 0;
  /** Bytes of the first line that are written. */
  #offset = 0;
  /** What was written last is the beginning of a line that was lost. */
  #torn = false;
  /** The latest write failed. */
  #failing = false;
  /** Lines in front that a write under way holds. */
  #inFlight = 0;
  #retry: NodeJS.Timeout | undefined;
  /** Losses that were told of. */
  #told = 0;

  constructor(fd: 1 | 2) {
    this.#descriptor = openDescriptor(fd);
    process.on('exit', () => this.#finish());
  }

  /** Takes a line, with its end. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > MAX_WAITING_BYTES) {
      this.lost++;
      return;
    }
    this.#lines.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#inFlight === 0 && this.#retry === undefined) this.#next();
  }

  /** Writes until a write takes time, the descriptor takes no more, or nothing waits. */
  #next(): void {
    while (this.#lines.length > 0) {
      const lines = this.#countForChunk();
      if (this.#descriptor.slow) {
        this.#startWrite(lines);
        return;
      }
      if (!this.#writeNow(lines)) {
        this.#tryLater();
        return;
      }
    }
    this.#tellLoss();
  }

  /** One write on a thread: never two, so that a disk that hangs takes no more than one thread. */
  #startWrite(lines: number): void {
    this.#inFlight = lines;
    write(this.#descriptor.fd, this.#chunk(lines), (error, written) => {
      this.#inFlight = 0;
      if (error === null) this.#advance(written);
      else this.#lose(lines);
      this.#next();
    });
  }

  /** @returns false when the descriptor takes no more for now */
  #writeNow(lines: number): boolean {
    try {
      this.#advance(writeSync(this.#descriptor.fd, this.#chunk(lines)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      this.#lose(lines);
    }
    return true;
  }

  #countForChunk(): number {
    let bytes = 0;
    const end = this.#lines.findIndex((line, index) => {
      bytes += line.length;
      return index > 0 && bytes > CHUNK_BYTES;
    });
    return end < 0 ? this.#lines.length : end;
  }

  #chunk(lines: number): Buffer {
    const chunk = Buffer.concat(this.#lines.slice(0, lines)).subarray(this.#offset);
    return this.#torn ? Buffer.concat([NEWLINE, chunk]) : chunk;
  }

  #advance(written: number): void {
    this.#failing = false;
    const newline = this.#torn && written > 0 ? 1 : 0;
    if (newline === 1) this.#torn = false;
    let bytes = this.#offset + written - newline;
    let whole = 0;
    for (const line of this.#lines) {
      if (bytes < line.length) break;
      bytes -= line.length;
      whole++;
    }
    this.#remove(whole);
    this.#offset = bytes;
  }

  #lose(lines: number): void {
    this.#failing = true;
    if (this.#offset > 0) this.#torn = true;
    this.#offset = 0;
    this.lost += lines;
    this.#remove(lines);
  }

  #remove(lines: number): void {
    for (const line of this.#lines.splice(0, lines)) this.#waitingBytes -= line.length;
  }

  #tryLater(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#next();
    }, RETRY_MS).unref();
  }

  #tellLoss(): void {
    const lost = this.lost - this.#told;
    if (lost === 0 || this.#failing) return;
    this.#told = this.lost;
    this.onRecovery?.(lost);
  }

  /**
   * The process ends. What a write under way holds is written by Node.js, which waits for its threads; the rest is
   * written here, as far as the other side takes it in time.
   */
  #finish(): void {
    if (this.#inFlight > 0) {
      this.#remove(this.#inFlight);
      this.#offset = 0;
    }
    const deadline = performance.now() + EXIT_MS;
    while (this.#lines.length > 0) {
      if (this.#writeNow(this.#countForChunk())) continue;
      if (performance.now() > deadline) this.#lose(this.#lines.length);
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EXIT_RETRY_MS);
    }
  }
}
