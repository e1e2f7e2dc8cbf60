/**
 * Unpacks gzip. A message of a few bytes may be of very many once it is unpacked, so that is done on other threads, for a
 * few messages at a time; clients have their turns one after the other, however many each sends. What is small for certain
 * is done at once, which costs less than asking a thread.
 */
import { gunzip, gunzipSync } from 'node:zlib';
import { ClientTurns } from './client-turns.ts';

/** Unpacked at once: so many bytes of the message, and so many packed ones. */
const SMALL_BYTES = 16 << 10;
const SMALL_PACKED_BYTES = 64 << 10;
/** Messages unpacked at a time, of the four threads that files and names are looked up on as well. */
const MAX_RUNNING = 2;
/** Memory taken at once for what is unpacked. Each piece is a round trip to a thread. Bytes. */
const MAX_PIECE = 1 << 20;
const MIN_PIECE = 16 << 10;

/** Larger than it may be. */
export const TOO_LARGE = Symbol('too large');
/** Not gzip. */
export const BROKEN = Symbol('broken');
/** What came of it. */
export type Unpacked = Buffer | typeof TOO_LARGE | typeof BROKEN;

/** Unpacks what is small; `undefined`: it is not. */
export function unpackSmall(packed: Buffer, maxBytes: number): Unpacked | undefined {
  if (packed.length > SMALL_PACKED_BYTES || announced(packed) > SMALL_BYTES) return undefined;
  try {
    return gunzipSync(packed, { maxOutputLength: Math.max(1, Math.min(maxBytes, SMALL_BYTES)) });
  } catch (error) {
    const reason = reasonOf(error);
    return reason === TOO_LARGE && maxBytes > SMALL_BYTES ? undefined : reason;
  }
}

/** The size that gzip says at its end, unless it lies. */
export function announced(packed: Buffer): number {
  return packed.length < 4 ? 0 : packed.readUInt32LE(packed.length - 4);
}

function reasonOf(error: unknown): typeof TOO_LARGE | typeof BROKEN {
  return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? TOO_LARGE : BROKEN;
}

interface Job {
  readonly packed: Buffer;
  readonly maxBytes: number;
  readonly done: (result: Unpacked) => void;
}

/** What waits for a thread. */
export class UnpackLine {
  readonly #waiting = new ClientTurns<Job>();
  #running = 0;
  /** Bytes of the messages that wait, packed. */
  waitingBytes = 0;

  /**
   * Unpacks when it is the client's turn; never calls back at once.
   * @param client whose message it is, such as its connection
   * @returns drops a message that still waits: nobody is called back for it
   */
  unpack(client: object, packed: Buffer, maxBytes: number, done: (result: Unpacked) => void): () => void {
    const job = { packed, maxBytes, done };
    this.#waiting.add(client, job);
    this.waitingBytes += packed.length;
    this.#start();
    return () => this.#drop(client, job);
  }

  #start(): void {
    while (this.#running < MAX_RUNNING) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.waitingBytes -= job.packed.length;
      this.#run(job);
    }
  }

  /** Takes a message out of the line, if it waits there. */
  #drop(client: object, job: Job): void {
    if (this.#waiting.delete(client, job)) this.waitingBytes -= job.packed.length;
  }

  #run({ packed, maxBytes, done }: Job): void {
    this.#running++;
    const most = Math.max(1, maxBytes);
    const chunkSize = Math.max(MIN_PIECE, Math.min(announced(packed) + 64, most, MAX_PIECE));
    gunzip(packed, { maxOutputLength: most, chunkSize }, (error, result) => {
      this.#running--;
      this.#start();
      done(error === null ? result : reasonOf(error));
    });
  }
}

/** The one line of the process. */
export const unpackLine = new UnpackLine();
