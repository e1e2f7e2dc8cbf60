/**
 * Long messages are looked into while they come, which takes far longer than reading them, and of a socket two MiB are read in
 * one turn of the event loop. So of what all calls take in parts only so much is taken in a turn; the rest waits as
 * bytes, within the windows of its streams.
 */

/** What is taken in one turn, beside the first part of each call that has not waited; some five milliseconds of a watch. */
const TURN_BYTES = 256 << 10;

/** Takes parts. */
export interface PartTaker {
  /** It may take another one. */
  onPartTurn(): void;
}

export class PartTurns {
  #left = TURN_BYTES;
  /** Those that wait, of which each turn lets one go on: it gets what was kept for it at the end of that turn or the next. */
  readonly #waiting: PartTaker[] = [];
  #turn: NodeJS.Immediate | undefined;

  /** A part is taken. @returns whether the taker has to wait for {@link PartTaker.onPartTurn} before it takes another one */
  take(bytes: number, taker: PartTaker): boolean {
    this.#schedule();
    this.#left -= bytes;
    if (this.#left > 0) return false;
    this.#waiting.push(taker);
    return true;
  }

  #schedule(): void {
    this.#turn ??= setImmediate(() => this.#next());
  }

  #next(): void {
    this.#turn = undefined;
    this.#left = TURN_BYTES;
    const taker = this.#waiting.shift();
    if (this.#waiting.length > 0) this.#schedule();
    taker?.onPartTurn();
  }
}
