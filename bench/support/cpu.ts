/** The CPU time of other processes, from /proc. */
import { readFileSync } from 'node:fs';

/** Clock ticks a second; USER_HZ is 100 on every Linux that Node.js runs on. */
const TICKS = 100;

/** CPU seconds, user and system, that a process has used since it started. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The middle value; of an even number, the lower of the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
