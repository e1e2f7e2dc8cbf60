/**
 * Loaded into a program before its own code (`memory.ts`): at SIGUSR2 it collects its garbage and writes a line with
 * what is in use after that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { collectGarbage } from './garbage.ts';

/** So often at most, with so many milliseconds between. */
const COLLECTIONS = 50;
const PAUSE_MS = 10;

/** Less is not worth another collection. Bytes. */
const LITTLE = 64 << 10;

const inUse = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

async function report(): Promise<void> {
  // What was freed by one collection may have held memory outside of the heap, which another thread gives back after the next one.
  let before = Number.POSITIVE_INFINITY;
  for (let i = 0; i < COLLECTIONS && (i < 3 || inUse() < before - LITTLE); i++) {
    before = inUse();
    collectGarbage();
    await sleep(PAUSE_MS);
  }
  process.stderr.write(
    `${JSON.stringify({ msg: 'memory in use', bytes: inUse(), rss: process.memoryUsage().rss })}\n`,
  );
}

process.on('SIGUSR2', () => void report());
