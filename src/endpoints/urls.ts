/** URLs that etcd, a discovery service or DNS tells, as endpoints. */
import { type Endpoint, parseEndpoint } from '../net/endpoint.ts';

/** A URL that is longer is none: a host's name has 253 octets at most, the path of a socket 107. */
const MAX_LENGTH = 1024;

/** What can be used of some URLs; those that are none are left out, as are bare addresses, of which etcd has none. */
export function endpointsOf(urls: readonly string[]): Endpoint[] {
  return urls.flatMap((url) => {
    const endpoint = url.length > MAX_LENGTH ? undefined : parsed(url);
    return endpoint?.scheme === undefined ? [] : [endpoint];
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

/** An endpoint as a URL of which nothing is left but scheme and place. */
export function urlOf({ scheme, target, authority }: Endpoint): string {
  return 'path' in target ? `${scheme}://${target.path}` : `${scheme}://${authority}`;
}
