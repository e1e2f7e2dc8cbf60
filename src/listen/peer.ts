/** What is known of a client when its connection is accepted. */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Client } from '../rpc/client.ts';
import { commonNames } from '../tls/common-names.ts';

/** Where a connection came in. */
interface Place extends Pick<Client, 'listener' | 'namespace'> {
  /** The only address, as `host:port`, that clients connect to there; undefined: the socket has to be asked. */
  readonly local: string | undefined;
}

/** The client of a connection. */
export function clientOn(socket: Socket, { listener, namespace, local }: Place): Client {
  const { remoteAddress, remotePort } = socket;
  const certificate = 'encrypted' in socket ? (socket as TLSSocket).getPeerX509Certificate() : undefined;
  return {
    address: hostPort(remoteAddress, remotePort),
    listener,
    local: local ?? hostPort(socket.localAddress, socket.localPort),
    namespace,
    certificate: certificate && subjectOf(certificate),
    commonName: certificate && onlyNameOf(certificate),
  };
}

/** Empty where there is no address. */
function hostPort(address = '', port = 0): string {
  if (address === '') return '';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** One line, where a subject has one for each of its parts. */
function subjectOf(certificate: X509Certificate): string | undefined {
  // Node.js has no subject for a certificate whose names are all in its extension, whatever its types say.
  const subject: string | undefined = certificate.subject;
  return subject?.replaceAll('\n', ', ');
}

/** The one common name. Of several none is taken: the authority need not have meant the one that would be picked. */
function onlyNameOf(certificate: X509Certificate): string | undefined {
  const names = commonNames(certificate);
  return names.length === 1 ? names[0] : undefined;
}
