/** The memory of other processes, from /proc. */
import { readFileSync } from 'node:fs';

/** Resident bytes of a process. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/** The highest resident memory of a process while something goes on, in bytes. */
export async function peakOf<T>(pid: number, work: Promise<T>): Promise<{ result: T; peak: number }> {
  let peak = residentBytes(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, residentBytes(pid));
  }, 50);
  try {
    return { result: await work, peak };
  } finally {
    clearInterval(timer);
  }
}

/** Bytes as whole MiB. */
export const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
