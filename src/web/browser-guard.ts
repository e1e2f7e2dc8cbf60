/**
 * Keeps web pages from calling the proxy behind their user's back. A page of any site can make a browser send requests to
 * addresses that only its user reaches: it may not read the answers, but what was asked is done. What gives it away is the
 * `Origin` that browsers put into such requests, and that no other client sends.
 *
 * - An `Origin` must be the proxy's own, which is that of the request's scheme and host, or one of `--cors-allowed-origins`.
 * - A site may let its name stand for the proxy's address, so that its page and the proxy are of one origin (DNS rebinding).
 *   So the host that such a request names must be the proxy's: an address, `localhost`, or a name that it knows.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** Why a request is refused. */
export interface BrowserRefusal {
  /** The status of HTTP. */
  readonly status: 403 | 421;
  readonly message: string;
}

/** Which pages may call. */
export interface BrowserGuardOptions {
  /** Origins whose pages may; `*`: any. */
  readonly corsAllowedOrigins: readonly string[];
  /** Whether a host name, in lower case, is the proxy's. */
  readonly isOwnHost: (name: string) => boolean;
}

/** A host with an optional port. */
const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]/@\s]+)(?::\d*)?$/;

export class BrowserGuard {
  readonly #options: BrowserGuardOptions;

  constructor(options: BrowserGuardOptions) {
    this.#options = options;
  }

  /** Why a request may not come in; undefined: it may, as all may that no browser made for a page. */
  refusal(request: IncomingMessage): BrowserRefusal | undefined {
    const { origin } = request.headers;
    if (origin === undefined) return undefined;
    if (!this.#isAllowed(origin) && !isOwn(origin, request)) {
      return { status: 403, message: 'pages of this origin may not call (--cors-allowed-origins)' };
    }
    return this.foreignHost(request);
  }

  /** Why a request may not be answered that a page can send without an `Origin`; undefined: it may. */
  foreignHost({ headers }: IncomingMessage): BrowserRefusal | undefined {
    if (this.#isOwnHost(headers.host ?? '')) return undefined;
    return { status: 421, message: 'this host is not known to be the proxy (--host-whitelist)' };
  }

  #isAllowed(origin: string): boolean {
    const { corsAllowedOrigins } = this.#options;
    return corsAllowedOrigins.includes('*') || corsAllowedOrigins.includes(origin);
  }

  #isOwnHost(host: string): boolean {
    const written = HOST.exec(host.toLowerCase())?.[1];
    if (written === undefined) return false;
    const name = written.replace(/^\[|\]$|\.$/g, '');
    return isIP(name) !== 0 || name === 'localhost' || this.#options.isOwnHost(name);
  }
}

/** Whether a page of this origin came from where the request goes. */
function isOwn(origin: string, request: IncomingMessage): boolean {
  const { host = '' } = request.headers;
  return withoutPort(origin.toLowerCase()) === withoutPort(`${schemeOf(request)}://${host.toLowerCase()}`);
}

/** Without a port that the scheme implies, which browsers leave out. */
function withoutPort(origin: string): string {
  return origin.replace(/^(http:.*):80$|^(https:.*):443$/, '$1$2');
}

const schemes = new WeakMap<object, string>();

/** Requests on this connection in memory have that scheme. */
export function noteScheme(connection: object, scheme: string): void {
  schemes.set(connection, scheme);
}

function schemeOf({ socket }: IncomingMessage): string {
  return schemes.get(socket) ?? ((socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http');
}
