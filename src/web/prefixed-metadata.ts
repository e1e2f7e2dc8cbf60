/** Metadata in requests of plain HTTP, as etcd's gateway takes it. */
import { type HeaderFields, type Metadata, requestMetadata } from '../rpc/metadata.ts';

/** What metadata begins with among header fields. */
const PREFIX = 'grpc-metadata-';

/** The metadata among the header fields of a request: `Authorization` and what has the prefix. */
export function prefixedMetadata(rawHeaders: HeaderFields): Metadata {
  const kept: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = rawHeaders[i + 1] as string;
    if (name === 'authorization') kept.push(name, value);
    else if (name.startsWith(PREFIX) && name !== PREFIX) kept.push(name.slice(PREFIX.length), value);
  }
  return requestMetadata(kept);
}
