/**
 * The fields of a request and of its answer that go on (RFC 9110 section 7.6). What belongs to one connection stays there,
 * as does what the other side of it names in `Connection`.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Names and values by turns, as Node.js has them. */
export type Fields = string[];

/** Fields of one connection, whether or not `Connection` names them. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...[
    'connection',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'trailers',
    'transfer-encoding',
    'upgrade',
  ],
  ...['proxy-authenticate', 'proxy-authorization', 'http2-settings', 'expect'],
]);

/** What no list in `Connection` takes away: without them the request would be another one, or end elsewhere. */
const KEPT: ReadonlySet<string> = new Set(['host', 'content-length']);

/** Whose pages may read an answer is for the proxy to say, which alone knows its flags; two answers are none. */
const CORS = 'access-control-';

/** By which the proxy knows a request that it has forwarded itself (RFC 9110 section 7.6.3). */
const PSEUDONYM = `etcd-connect-proxy-${randomBytes(8).toString('hex')}`;

/** Whether a request was forwarded by this proxy already: it is a member of its own cluster. */
export function hasComeAround({ headers }: IncomingMessage): boolean {
  return headers.via?.includes(PSEUDONYM) === true;
}

/** Whether a body is coded for the way by more than chunks (RFC 9112 section 6.1). */
export function isCoded({ headers }: IncomingMessage): boolean {
  return (headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked';
}

/**
 * The fields of a request as a member gets them, without those that say how long its body is.
 * @param client the address of the client; empty: it has none
 */
export function requestFields(request: IncomingMessage, client: string): Fields {
  const fields = endToEnd(request, (name) => ['content-length', 'x-forwarded-for', 'via'].includes(name));
  const { via, 'x-forwarded-for': before } = request.headers;
  const forwarded = [before, client].filter(Boolean).join(', ');
  if (forwarded !== '') fields.push('X-Forwarded-For', forwarded);
  fields.push('Via', `${via === undefined ? '' : `${via}, `}${request.httpVersion} ${PSEUDONYM}`);
  return fields;
}

/** The fields of an answer as the client gets them. */
export function forwardedResponseFields(response: IncomingMessage): Fields {
  return endToEnd(response, (name) => name.startsWith(CORS));
}

/** What is left of a message's fields, in their order and as they are written. */
function endToEnd({ rawHeaders, headers }: IncomingMessage, isUnwanted: (name: string) => boolean): Fields {
  const named = new Set((headers.connection ?? '').split(',').map((token) => token.trim().toLowerCase()));
  const kept: Fields = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const written = rawHeaders[i] as string;
    const name = written.toLowerCase();
    if (HOP_BY_HOP.has(name) || (named.has(name) && !KEPT.has(name)) || isUnwanted(name)) continue;
    kept.push(written, rawHeaders[i + 1] as string);
  }
  return kept;
}
