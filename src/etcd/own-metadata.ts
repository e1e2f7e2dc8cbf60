/**
 * What the proxy tells etcd of itself in calls and streams of its own: the API that it speaks, as etcd's clients do.
 * etcd counts calls by it (`etcd_server_client_requests_total`), so that operators see which clients are old.
 */
import { Metadata } from '../rpc/metadata.ts';

/** Major and minor release of etcd whose API `proto/` is. */
const API_VERSION = '3.7';

const VERSION_FIELDS = ['client-api-version', API_VERSION];

/** The metadata of calls that are made on nobody's behalf. */
export const OWN_METADATA = new Metadata(VERSION_FIELDS);

/** Those of calls of the proxy's own that carry something more. */
export function withOwnVersion(fields: readonly string[]): Metadata {
  return fields.length === 0 ? OWN_METADATA : new Metadata([...fields, ...VERSION_FIELDS]);
}
