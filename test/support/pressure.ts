/** What a running proxy has borne: its longest turn and the most memory that it had. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RunningProxy } from './proxy.ts';

/** What a proxy has to load before its own code so that {@link pressureOn} can ask it. */
export const PRESSURE_PRELOAD = join(import.meta.dirname, 'pressure-preload.ts');

/** The environment of one that does. */
export const PRESSED: NodeJS.ProcessEnv = {
  NODE_OPTIONS: `--import=${pathToFileURL(PRESSURE_PRELOAD).href}`,
};

/** What it has borne since it was asked last. */
export interface Pressure {
  /** The longest turn of its event loop by the CPU that it took, which does not count what else the machine does. */
  readonly turnMs: number;
  /** The same without the collections of garbage in it, which take as long as the heap is large. */
  readonly workMs: number;
  /** The longest time for which nothing else had its turn. */
  readonly pauseMs: number;
  /** The most that it had on its heap and in buffers, garbage included. */
  readonly bytes: number;
}

/** What a proxy has borne. */
export async function pressureOn({ process }: Pick<RunningProxy, 'process'>): Promise<Pressure> {
  process.signal('SIGUSR2');
  return JSON.parse(await process.waitForLine(/"msg":"pressure"/, 60_000)) as Pressure;
}
