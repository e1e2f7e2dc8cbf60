/** Writes a new message of pieces of an old one and of what stands between them. */
import { writeNumber } from './wire.ts';

/** Fewer bytes are copied one by one. */
const SHORT = 24;

const NOTHING = Buffer.alloc(0);

export class Splicer {
  #source: Buffer = NOTHING;
  #out: Buffer = NOTHING;
  /** How much was written, and up to where the old message is accounted for by it. */
  #written = 0;
  #taken = 0;

  /** @param length of the new message */
  begin(source: Buffer, length: number): void {
    this.#source = source;
    this.#out = Buffer.allocUnsafe(length);
    this.#written = 0;
    this.#taken = 0;
  }

  /** Copies the old message up to a place. @returns how many bytes these are */
  copyTo(place: number): number {
    const source = this.#source;
    const out = this.#out;
    const length = place - this.#taken;
    let at = this.#written;
    if (length < SHORT) for (let from = this.#taken; from < place; from++) out[at++] = source[from] as number;
    else source.copy(out, at, this.#taken, place);
    this.#written += length;
    this.#taken = place;
    return length;
  }

  /** Goes on behind a place: what lies before it is not taken over. */
  passTo(place: number): void {
    this.#taken = place;
  }

  writeNumber(number: number): void {
    this.#written = writeNumber(this.#out, this.#written, number);
  }

  writeBytes(bytes: Buffer): void {
    if (bytes.length > 0) this.#out.set(bytes, this.#written);
    this.#written += bytes.length;
  }

  /** The new message, which is whole. Nothing is kept of it here. */
  finish(): Buffer {
    const out = this.#out;
    if (this.#written !== out.length) throw new Error('a message was measured and written differently');
    this.#source = NOTHING;
    this.#out = NOTHING;
    return out;
  }
}
