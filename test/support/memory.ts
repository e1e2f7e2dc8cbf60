/** What a running proxy still holds after a collection: only that is kept for ever. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RunningProxy } from './proxy.ts';

/** The environment of a proxy that {@link bytesInUse} can ask. */
export const MEASURED: NodeJS.ProcessEnv = {
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'memory-preload.ts')).href}`,
};

/** Bytes on the heap and in buffers after a collection. */
export async function bytesInUse({ process }: RunningProxy): Promise<number> {
  process.signal('SIGUSR2');
  const line = await process.waitForLine(/"msg":"memory in use"/, 60_000);
  const { bytes } = JSON.parse(line) as { readonly bytes: number };
  return bytes;
}
