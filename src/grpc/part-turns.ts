/**
 * Long messages are looked into while they come, which takes far longer than reading them, and of a socket two MiB are read in
 * one turn of the event loop. So of what all calls take in parts only so much is taken in a turn; the rest waits as
 * bytes, within the windows of its streams.
 */

/** What is taken in one turn, and of each call that waited one part at least; some five milliseconds of a watch. */
const TURN_BYTES = 256 << 10;

/** Takes parts. */
export interface PartTaker {
  /** It may take more. */
  onPartTurn(): void;
}

export class PartTurns {
  #left = TURN_BYTES;
  #waiting: PartTaker[] = [];
  #turn: NodeJS.Immediate | undefined;

  /** A part is taken. @returns whether the taker has to wait for {@link PartTaker.onPartTurn} before it takes another one */
  take(bytes: number, taker: PartTaker): boolean {
    this.#turn ??= setImmediate(() => this.#next());
    this.#left -= bytes;
    if (this.#left > 0) return false;
    this.#waiting.push(taker);
    return true;
  }

  #next(): void {
    this.#turn = undefined;
    this.#left = TURN_BYTES;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const taker of waiting) taker.onPartTurn();
  }
}
