/**
 * Whether a process that was sent SIGSTOP stands still. The system tells one thread of it, and that one stops the others
 * when it gets a core: until then, a second or two on a busy machine, the others go on and answer.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Only what hangs takes so long. */
const LIMIT_MS = 20_000;
const PAUSE_MS = 1;

const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Returns when no thread of a process runs any more, or where the system does not tell.
 * @throws when it goes on nevertheless
 */
export function waitUntilStill(pid: number): void {
  const end = performance.now() + LIMIT_MS;
  while (!isStill(`/proc/${pid}/task`)) {
    if (performance.now() > end) throw new Error(`process ${pid} goes on after SIGSTOP`);
    Atomics.wait(cell, 0, 0, PAUSE_MS);
  }
}

/** Whether each thread is stopped or over. */
function isStill(threads: string): boolean {
  try {
    return readdirSync(threads).every((thread) =>
      /\) [TtZX] /.test(readFileSync(`${threads}/${thread}/stat`, 'latin1')),
    );
  } catch {
    return !existsSync(threads); // a thread that has ended meanwhile is looked for again
  }
}
