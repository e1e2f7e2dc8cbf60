/** Unix sockets leave their file behind when their process is killed, and nobody can listen on it then. */
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';

/** Removes the file of a socket that nobody listens on any more. A socket in use, and any other file, stays. */
export async function removeStaleSocket(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined); // nothing there: nothing to remove
  if (file?.isSocket() && (await isAbandoned(path))) await unlink(path);
}

function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
