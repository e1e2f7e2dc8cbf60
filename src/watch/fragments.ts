/** Cuts responses for clients that asked for it, where etcd would, as fast as the client takes the pieces. No event is copied. */

import { HEADER_TAG, headerField } from '../etcd/header.ts';
import { Scanner } from '../etcd/scanner.ts';
import { FRAGMENT_FIELD } from '../etcd/watch-reply.ts';

/** A part of a response. */
export interface Fragment {
  /** The number of the watch, the header, and that more follows where it does. */
  readonly head: Uint8Array;
  readonly events: Buffer;
}

/** Where the fragments of a response begin and end, as far as somebody has wanted to know. */
class Cuts {
  /** The encoded header of the response. */
  readonly header: Uint8Array;
  readonly #scan: Scanner;
  readonly #tail: Buffer;
  readonly #room: number;
  readonly #ends: number[] = [];
  /** One object each for all watchers: what is done with what many get is kept by the object. */
  readonly #pieces: Buffer[] = [];
  readonly #start: number;

  /** @param headLength of the field before the header @param limit the size that no fragment of several events reaches */
  constructor(tail: Buffer, headLength: number, limit: number) {
    this.#tail = tail;
    this.#scan = new Scanner(tail);
    const tag = this.#scan.varint();
    if (tag === HEADER_TAG) this.#scan.skip(tag & 7);
    else this.#scan.pos = 0;
    this.#start = this.#scan.pos;
    this.header = tag === HEADER_TAG ? tail.subarray(0, this.#start) : headerField(new Uint8Array(0));
    this.#room = limit - headLength - this.header.length - FRAGMENT_FIELD.length;
  }

  /** The events of the fragment of a number. */
  at(number: number): Buffer {
    while (this.#ends.length <= number) this.#ends.push(this.#next());
    const start = number === 0 ? this.#start : (this.#ends[number - 1] as number);
    this.#pieces[number] ??= this.#tail.subarray(start, this.#ends[number]);
    return this.#pieces[number];
  }

  /** Whether no more events come behind that one. */
  isLast(number: number): boolean {
    return this.#ends[number] === this.#tail.length;
  }

  /** Where the next fragment ends: each has at least one event. */
  #next(): number {
    const scan = this.#scan;
    const start = scan.pos;
    let end = start;
    while (!scan.done) {
      scan.skip(scan.varint() & 7);
      if (end > start && scan.pos - start >= this.#room) {
        scan.pos = end;
        break;
      }
      end = scan.pos;
    }
    return end;
  }
}

/** Of responses that several watchers get, for each length of a watch's number. */
const known = new WeakMap<Buffer, Map<string, Cuts>>();

function cutsOf(tail: Buffer, headLength: number, limit: number): Cuts {
  let all = known.get(tail);
  if (all === undefined) {
    all = new Map();
    known.set(tail, all);
  }
  const key = `${headLength} ${limit}`;
  let cuts = all.get(key);
  if (cuts === undefined) {
    cuts = new Cuts(tail, headLength, limit);
    all.set(key, cuts);
  }
  return cuts;
}

/** The fragments of a response for one watcher. */
export class Fragments {
  readonly #cuts: Cuts;
  readonly #idField: Uint8Array;
  #number = 0;
  #isOver = false;

  /** @param tail header and events, encoded */
  constructor(idField: Uint8Array, tail: Buffer, limit: number) {
    this.#idField = idField;
    this.#cuts = cutsOf(tail, idField.length, limit);
  }

  /** The next one, if there is one. */
  take(): Fragment | undefined {
    if (this.#isOver) return undefined;
    const events = this.#cuts.at(this.#number);
    this.#isOver = this.#cuts.isLast(this.#number);
    this.#number++;
    const { header } = this.#cuts;
    const fields = [this.#idField, header, ...(this.#isOver ? [] : [FRAGMENT_FIELD])];
    return { head: Buffer.concat(fields), events };
  }
}
