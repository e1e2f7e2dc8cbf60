/** How standard output and standard error are written so that whoever reads them cannot stop the program. */
import { constants, fstatSync, openSync, type Stats } from 'node:fs';
import { isatty } from 'node:tty';

/** A descriptor to write to. */
export interface Descriptor {
  readonly fd: number;
  /** A write may take time, as a disk does: it belongs on a thread. Others say EAGAIN when they take no more. */
  readonly slow: boolean;
}

/** Opens one of the two for writes that do not wait. */
export function openDescriptor(fd: 1 | 2): Descriptor {
  const stats = statsOf(fd);
  if (stats?.isFIFO() || isatty(fd)) {
    // Opened anew it has a mode of its own: others that share the pipe or terminal neither change it nor feel it.
    const own = reopen(fd);
    if (own !== undefined) return { fd: own, slow: false };
  }
  if (stats?.isFIFO() || stats?.isSocket()) {
    // The stream is not used, but its making is what puts the descriptor into the mode that says EAGAIN.
    void (fd === 1 ? process.stdout : process.stderr);
    return { fd, slow: false };
  }
  return { fd, slow: true };
}

function statsOf(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch {
    return undefined; // not even open: the writes will say so, and are counted
  }
}

function reopen(fd: number): number | undefined {
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined; // no /proc, another user's, or a pipe without a reader
  }
}
