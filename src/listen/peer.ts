/** What is known of a client when its connection is accepted. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Client } from '../rpc/client.ts';

/** The client of a connection. @param listener where the connection came in */
export function clientOn(socket: Socket, listener: string): Client {
  const { remoteAddress = '', remoteFamily, remotePort } = socket;
  const host = remoteFamily === 'IPv6' ? `[${remoteAddress}]` : remoteAddress;
  return {
    address: remoteAddress === '' ? '' : `${host}:${remotePort}`,
    listener,
    certificate: 'encrypted' in socket ? subjectOf(socket as TLSSocket) : undefined,
  };
}

/** One line, where a subject has one for each of its parts. */
function subjectOf(socket: TLSSocket): string | undefined {
  // Node.js has no subject for a certificate whose names are all in its extension, whatever its types say.
  const subject: string | undefined = socket.getPeerX509Certificate()?.subject;
  return subject?.replaceAll('\n', ', ');
}
