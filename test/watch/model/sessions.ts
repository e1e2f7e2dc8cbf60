/** What the connections of the test's own clients wait for, for the report of a failure. */
import { subscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';

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
    const { bytesRead, bytesWritten, writableLength } = socket;
    lines.push(JSON.stringify({ ...state, bytesRead, bytesWritten, writableLength, port: socket.localPort }));
  }
  return lines;
}
