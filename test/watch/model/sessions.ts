/** What the connections of the test's own clients wait for, for the report of a failure. */

import { subscribe } from 'node:diagnostics_channel';
import { existsSync, readFileSync } from 'node:fs';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';

/** The kernel's table of connections, where there is one. */
const KERNEL = '/proc/net/tcp';

const sessions = new Set<ClientHttp2Session>();

subscribe('http2.client.stream.created', (message) => {
  const { session } = (message as { readonly stream: ClientHttp2Stream }).stream;
  if (session === undefined || sessions.has(session as ClientHttp2Session)) return;
  sessions.add(session as ClientHttp2Session);
  session.once('close', () => sessions.delete(session as ClientHttp2Session));
});

/** Those to an address. */
export function sessionsTo(address: string): string[] {
  const lines: string[] = [];
  for (const { destroyed, socket, state } of sessions) {
    if (destroyed || `${socket?.remoteAddress}:${socket?.remotePort}` !== address) continue;
    const { bytesRead, bytesWritten, writableLength, localPort } = socket;
    lines.push(JSON.stringify({ ...state, bytesRead, bytesWritten, writableLength, localPort }));
    lines.push(...queuesOf(localPort ?? 0));
  }
  return lines;
}

/** What the kernel holds of a connection: what one side has not read, the other has sent in vain. */
function queuesOf(port: number): string[] {
  if (!existsSync(KERNEL)) return [];
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  const lines = readFileSync(KERNEL, 'utf8').split('\n');
  return lines
    .filter((line) => line.includes(hex))
    .map((line) => {
      const [, local, remote, , queues = ''] = line.trim().split(/\s+/);
      const [unsent, unread] = queues.split(':').map((octets) => Number.parseInt(octets, 16));
      return `  kernel: ${local?.endsWith(hex.trim()) ? 'client' : 'proxy'} to ${remote}: ${unsent} not taken, ${unread} not read`;
    });
}
