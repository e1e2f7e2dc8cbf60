/**
 * Addresses as etcd's flags write them, for the endpoints of etcd and for the proxy's own listener alike.
 */
import { basename } from 'node:path';

/** The schemes of addresses. */
export type Scheme = 'http' | 'https' | 'unix' | 'unixs';

/** Where to connect to or to listen on. */
export interface Endpoint {
  /** The address as the user wrote it, for logs and errors; credentials, which etcd's tools ignore, are left out. */
  readonly name: string;
  /** The scheme as the user wrote it; undefined for a bare `host:port`, which leaves TLS to other settings. */
  readonly scheme: Scheme | undefined;
  /** Whether TLS is spoken there; by the scheme, until other settings decide for an address without one. */
  readonly secure: boolean;
  /** The name that its certificate must be for: the host, or the file's name of a Unix socket, as in etcd. */
  readonly serverName: string;
  /** `:authority` of requests to it: host and port, or `localhost` on a Unix socket, as Go's gRPC sends. */
  readonly authority: string;
  /** What `net.connect` and `server.listen` take. */
  readonly target: { readonly path: string } | { readonly host: string; readonly port: number };
}

/** The same text for two endpoints where a connection to one is as good as to the other, however they are written. */
export function endpointKeyOf({ secure, target, serverName, authority }: Endpoint): string {
  return JSON.stringify([secure, target, serverName, authority]);
}

/** etcd's port for clients. */
const ETCD_PORT = 2379;

const UNIX = /^(unixs?):(?:\/\/)?(.+)$/i;
const HTTP_URL = /^(https?):\/\/(?:[^/?#]*@)?([^/?#]*)(?:[/?#].*)?$/is;
/** An address of IPv6 may have a zone (RFC 4007), whose name is that of an interface. */
const HOST_PORT = /^(\[[\dA-Fa-f:.]+(?:%[\w.-]+)?\]|[^/:[\]@\s]*)(?::(\d{1,5}))?\/?$/;
/** Before a zone in a URL (RFC 6874). */
const ESCAPED_PERCENT = /^(\[[^%\]]*)%25/;

/**
 * Reads `host:port`, `http://host:port`, `https://host:port`, `unix://path`, `unix:path` or `unixs://path`;
 * IPv6 hosts in brackets. Schemes may be in any case, and of a URL only host and port matter, as in etcd's clients.
 * A host without a port means port 2379, as in etcd's examples.
 * @throws Error saying what is wrong with the text
 */
export function parseEndpoint(text: string): Endpoint {
  return endpointOf(text, ETCD_PORT);
}

/**
 * The same for an address to listen on, which has to name its port, as for `etcd grpc-proxy`: etcd's own one would be another
 * service's, or lead the proxy to itself.
 * @throws Error saying what is wrong with the text
 */
export function parseListener(text: string): Endpoint {
  return endpointOf(text, undefined);
}

/** @param otherwise the port of a host without one; undefined: it has to have one */
function endpointOf(text: string, otherwise: number | undefined): Endpoint {
  const unix = UNIX.exec(text);
  if (unix) {
    const path = unix[2] as string;
    const scheme = unix[1]?.toLowerCase() as Scheme;
    return {
      name: text,
      scheme,
      secure: scheme === 'unixs',
      serverName: basename(path).replace(/:\d+$/, ''),
      authority: 'localhost',
      target: { path },
    };
  }
  const url = HTTP_URL.exec(text);
  const scheme = url?.[1]?.toLowerCase() as Scheme | undefined;
  const match = HOST_PORT.exec(url?.[2]?.replace(ESCAPED_PERCENT, '$1%') ?? text);
  if (!match) throw new Error('want host:port, http://host:port, unix:///path or unixs:///path');
  const written = match[1] as string;
  if (written === '' && match[2] === undefined) throw new Error('the address is empty');
  const port = Number(match[2] ?? otherwise);
  if (Number.isNaN(port)) throw new Error('want host:port, since there is no port that it has by itself');
  if (port > 65_535) throw new Error(`port ${port} is out of range`);
  const host = written.startsWith('[') ? written.slice(1, -1) : written;
  return {
    name: url ? text.replace(/^([^:]*:\/\/)[^/?#]*@/, '$1') : text,
    scheme,
    secure: scheme === 'https',
    serverName: host.replace(/%.*$/, '') || 'localhost',
    authority: `${written || 'localhost'}:${port}`,
    target: { host, port },
  };
}
