/**
 * Free ports on 127.0.0.1 for servers that must be told their port beforehand. They lie below the range that
 * the system takes the ports of outgoing connections from, so a server that is killed finds its port free when
 * it comes back, and processes that run side by side look in different slices of the range.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const first = 11_000;
const sliceSize = 200;
const taken = new Set<number>();
let next: number | undefined;

/** Where the system's own choice of ports begins. */
function ephemeralStart(): number {
  try {
    const start = Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
    return start > first + 10 * sliceSize ? start : 32_768;
  } catch {
    return 32_768; // a system that does not tell
  }
}

function slice(): { start: number; offset: number } {
  const slices = Math.floor((ephemeralStart() - first) / sliceSize);
  next ??= Math.floor(Math.random() * sliceSize);
  return { start: first + (process.pid % slices) * sliceSize, offset: next };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Returns a port that nothing listens on and that this process has not handed out. */
export async function takePort(): Promise<number> {
  for (let tried = 0; tried < sliceSize; tried++) {
    const { start, offset } = slice();
    const port = start + (offset % sliceSize);
    next = offset + 1;
    if (taken.has(port)) continue;
    taken.add(port);
    if (await isFree(port)) return port;
    taken.delete(port);
  }
  throw new Error('no free port');
}

/** Gives a port back. */
export function returnPort(port: number): void {
  taken.delete(port);
}
