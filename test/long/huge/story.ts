/** What happens in a huge test: every event in the order in which etcd tells of it, by the numbers of its keys. */

/** Digits of a key's number. */
const DIGITS = 7;

/** How much of everything. */
export interface Size {
  /** Keys that are there, and are deleted by one request. */
  readonly keys: number;
  /** Operations of a transaction. */
  readonly operations: number;
  /** Bytes by which keys are longer than they need be. */
  readonly padding: number;
}

/** What a watch wants. */
export interface Wish {
  readonly name: string;
  /** Which numbers, as parts of all; all unless told otherwise. */
  readonly part?: readonly [from: number, to: number];
  readonly noPut?: boolean;
  readonly noDelete?: boolean;
  readonly prevKv?: boolean;
  readonly fragment?: boolean;
}

/** The revisions of a story. */
export const STEPS = 4;
const [CREATED, CHANGED, DELETED, AFTER] = [0, 1, 2, 3] as const;

/**
 * First a transaction makes keys, from the last to the first; then one deletes those with even numbers and changes the
 * others; then all keys are deleted, also those that were there before; then one is put, to see that it goes on.
 */
export class Story {
  readonly size: Size;
  /** The number of the key of each event. */
  readonly numbers: readonly number[];
  readonly deletes: readonly boolean[];
  /** Whether there was a value before. */
  readonly replaces: readonly boolean[];
  readonly steps: readonly number[];

  constructor(size: Size) {
    this.size = size;
    const numbers: number[] = [];
    const deletes: boolean[] = [];
    const replaces: boolean[] = [];
    const steps: number[] = [];
    const tell = (step: number, number: number, isDelete: boolean, replacing: boolean): void => {
      steps.push(step);
      numbers.push(number);
      deletes.push(isDelete);
      replaces.push(replacing);
    };
    for (const number of this.written()) tell(CREATED, number, false, false);
    for (const number of this.written()) tell(CHANGED, number, number % 2 === 0, true);
    const { keys, operations } = size;
    for (let number = 0; number < keys + operations; number++)
      if (number < keys || number % 2 === 1) tell(DELETED, number, true, true);
    tell(AFTER, keys, false, false);
    this.numbers = numbers;
    this.deletes = deletes;
    this.replaces = replaces;
    this.steps = steps;
  }

  /** The numbers of the keys that transactions write, in the order of the operations. */
  written(): number[] {
    const { keys, operations } = this.size;
    return Array.from({ length: operations }, (_, i) => keys + operations - 1 - i);
  }

  key(number: number): string {
    return `h/${String(number).padStart(DIGITS, '0')}${'-'.repeat(this.size.padding)}`;
  }

  /** The numbers that a watch asks for. */
  range({ part = [0, 1] }: Wish): readonly [from: number, to: number] {
    const all = this.size.keys + this.size.operations;
    return [Math.floor(all * part[0]), Math.floor(all * part[1])];
  }

  /** The events that a watch must be told. */
  eventsFor(wish: Wish): Uint32Array {
    const [from, to] = this.range(wish);
    const wanted: number[] = [];
    for (const [at, number] of this.numbers.entries()) {
      const filtered = this.deletes[at] === true ? wish.noDelete : wish.noPut;
      if (number >= from && number < to && filtered !== true) wanted.push(at);
    }
    return Uint32Array.from(wanted);
  }
}

/** Where the number stands in a key. */
export const NUMBER_AT = 'h/'.length;
export const NUMBER_END = NUMBER_AT + DIGITS;
