/** URLs that etcd, a discovery service or DNS tells, as endpoints. */
import { type Endpoint, parseEndpoint } from '../net/endpoint.ts';

/** A URL that is longer is none: a host's name has 253 octets at most. */
const MAX_LENGTH = 1024;

/** A host that is one: what else stands there would go into header fields as it is. */
const HOST = /^[\w.-]{1,253}$|^[\da-f:.]+(?:%[\w.-]+)?$/i;

/**
 * What can be used of some URLs: of HTTP, with a host. Left out are bare addresses, of which etcd has none, and sockets of
 * another machine; of paths and users nothing is left.
 */
export function endpointsOf(urls: readonly string[]): Endpoint[] {
  return urls.flatMap((url) => {
    const endpoint = url.length > MAX_LENGTH ? undefined : parsed(url);
    if (endpoint === undefined || !('host' in endpoint.target) || !HOST.test(endpoint.target.host)) return [];
    return endpoint.scheme === undefined ? [] : [{ ...endpoint, name: urlOf(endpoint) }];
  });
}

function parsed(url: string): Endpoint | undefined {
  try {
    return parseEndpoint(url);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** An endpoint as a URL of which nothing is left but scheme, host and port. */
export function urlOf({ scheme, authority }: Endpoint): string {
  // In a URL the percent sign before a zone is escaped (RFC 6874).
  return `${scheme}://${authority.replace('%', '%25')}`;
}
