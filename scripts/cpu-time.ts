/**
 * How much CPU time a program took together with all that it started, from Linux' `/proc`: wall time says little about a
 * test file when others run beside it. The program itself reads it at its end, since afterwards nobody can.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const FOLDER = resolve('.artifacts/cpu-time');

/** In the program: what it leaves at its end. It runs where nothing of ours is loaded, so all that it needs is in it. */
function leave(starter: number, place: string): void {
  const { existsSync, readFileSync, writeFileSync } = process.getBuiltinModule('node:fs');
  const { isMainThread } = process.getBuiltinModule('node:worker_threads');
  const children = `/proc/self/task/${process.pid}/children`;
  // workers, and programs that the program starts as it was started itself, are part of it
  if (!isMainThread || process.ppid !== starter || !existsSync(children)) return;
  // the name is in parentheses and may have anything in it; then come 11 numbers, utime, stime, cutime and cstime
  const ticksOf = (stat: string): number => {
    const numbers = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return numbers.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  };
  process.once('exit', () => {
    // what still runs will be killed, and was not waited for: its time is not in that of this process
    const running = readFileSync(children, 'utf8').trim().split(' ').filter(Boolean);
    let ticks = 0;
    for (const pid of ['self', ...running])
      if (existsSync(`/proc/${pid}/stat`)) ticks += ticksOf(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    writeFileSync(place, `${ticks / 100}`);
  });
}

const placeOf = (name: string): string => join(FOLDER, name.replaceAll('/', '+'));

/** JavaScript that a program which this process starts has to run first, so that `cpuSeconds` knows it by a name. */
export function measuring(name: string): string {
  mkdirSync(FOLDER, { recursive: true });
  rmSync(placeOf(name), { force: true });
  return `(${leave})(${process.pid}, ${JSON.stringify(placeOf(name))});`;
}

/** What the program of a name took, in seconds; undefined where it was killed, and on other systems than Linux. */
export function cpuSeconds(name: string): number | undefined {
  try {
    return Number(readFileSync(placeOf(name), 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
