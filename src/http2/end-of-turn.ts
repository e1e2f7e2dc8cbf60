/**
 * Work put off to the end of the event loop's turn. Frames produced by many events of one turn, on many
 * connections, are flushed by one `setImmediate` for all of them.
 */

/** Something that wants to be called at the end of the turn. */
export interface TurnEnd {
  onEndOfTurn(): void;
}

let waiting: TurnEnd[] = [];

/** Calls `target.onEndOfTurn()` once the input events of this turn are handled. It must not throw. */
export function atEndOfTurn(target: TurnEnd): void {
  if (waiting.length === 0) setImmediate(runAll);
  waiting.push(target);
}

function runAll(): void {
  const now = waiting;
  waiting = [];
  for (const target of now) {
    try {
      target.onEndOfTurn();
    } catch (error) {
      // A mistake of ours on one connection must not keep the others from being flushed.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
