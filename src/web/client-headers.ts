/**
 * Which headers of a web request are metadata for etcd. Browsers and the Connect and gRPC-Web protocols add
 * headers of their own, which say nothing to etcd and would only tell apart calls that are alike.
 */
import { type HeaderFields, type Metadata, requestMetadata } from '../rpc/metadata.ts';

/** Names that browsers and HTTP clients add by themselves, beside the hop-by-hop ones. */
const BROWSER_NAMES: ReadonlySet<string> = new Set([
  'accept-charset',
  'accept-language',
  'cache-control',
  'cookie',
  'dnt',
  'from',
  'origin',
  'pragma',
  'priority',
  'range',
  'referer',
  'save-data',
  'upgrade-insecure-requests',
  'x-grpc-web',
  'x-requested-with',
  'x-user-agent',
]);

/** Families of such names. */
const BROWSER_PREFIXES = /^(?:sec-|connect-|access-control-|content-|if-)/;

/** The metadata in the raw headers of a request: names in any case, in the order they were sent. */
export function clientMetadata(rawHeaders: HeaderFields): Metadata {
  const kept: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    if (BROWSER_NAMES.has(name) || BROWSER_PREFIXES.test(name)) continue;
    kept.push(name, rawHeaders[i + 1] as string);
  }
  return requestMetadata(kept);
}
