/** Attacks that go on in rounds, each with a pause after it, so that two cores are left with enough for everybody else. */
import { setTimeout as sleep } from 'node:timers/promises';

/** One kind of attack. */
export interface Assault {
  readonly name: string;
  /** Milliseconds between two rounds, at least; twice the time of the round, where that is more. */
  readonly pauseMs: number;
  /** One round against `host:port`. @returns how many operations that was */
  readonly round: (address: string) => Promise<number>;
}

/** What became of an attack. */
export interface Tally {
  readonly name: string;
  /** Rounds that were begun. */
  rounds: number;
  /** What was done in those that are over. */
  operations: number;
  /** Rounds that failed, or connections that were cut off. */
  cut: number;
  /** How the latest failed. */
  why?: string;
}

/** Attacks until the process ends, and counts meanwhile. */
export function assail(assault: Assault, address: string): Tally {
  const tally: Tally = { name: assault.name, rounds: 0, operations: 0, cut: 0 };
  const goOn = async (): Promise<void> => {
    for (;;) {
      const begin = performance.now();
      tally.rounds++;
      try {
        tally.operations += await assault.round(address);
      } catch (error) {
        tally.cut++;
        tally.why = String(error).split('\n')[0] ?? '';
      }
      await sleep(Math.max(assault.pauseMs, 2 * (performance.now() - begin)));
    }
  };
  void goOn();
  return tally;
}
