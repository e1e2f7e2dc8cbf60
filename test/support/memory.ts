/** What a running proxy still holds after a collection: only that is kept for ever. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RunningProxy } from './proxy.ts';

/** The environment of a proxy that {@link bytesInUse} can ask. */
export const MEASURED: NodeJS.ProcessEnv = {
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'memory-preload.ts')).href}`,
};

/** Bytes of a program after a collection. */
export interface MemoryInUse {
  /** On the heap and in buffers. */
  readonly bytes: number;
  /** Resident, as the system counts. */
  readonly rss: number;
}

/** What a proxy has in use after a collection. */
export async function memoryInUse({ process }: RunningProxy): Promise<MemoryInUse> {
  process.signal('SIGUSR2');
  const line = await process.waitForLine(/"msg":"memory in use"/, 60_000);
  return JSON.parse(line) as MemoryInUse;
}

/** Bytes on the heap and in buffers after a collection. */
export async function bytesInUse(proxy: RunningProxy): Promise<number> {
  return (await memoryInUse(proxy)).bytes;
}
