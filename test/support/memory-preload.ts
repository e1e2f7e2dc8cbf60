/**
 * Loaded into a program before its own code (`memory.ts`): at SIGUSR2 it collects its garbage and writes a line with
 * what is in use after that.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function report(): Promise<void> {
  // What was freed by one collection may have held memory outside of the heap, which the next one gives back.
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await turn();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  process.stderr.write(`${JSON.stringify({ msg: 'memory in use', bytes: heapUsed + external, rss })}\n`);
}

process.on('SIGUSR2', () => void report());
