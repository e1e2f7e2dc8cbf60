/** Metadata in requests of plain HTTP, as etcd's gateway takes it. */
import { type HeaderFields, type Metadata, requestMetadata } from '../rpc/metadata.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** What metadata begins with among header fields. */
const PREFIX = 'grpc-metadata-';

/** The names of metadata that is bytes (gRPC over HTTP/2, "Custom-Metadata"). */
const BINARY = /^grpc-metadata-.*-bin$/i;

/** What the gateway reads as bytes: base64 of the standard alphabet, wholly padded or not at all. */
const BASE64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}(?:==)?|[A-Za-z\d+/]{3}=?)?$/;

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

/** What is wrong with metadata that is said to be bytes, as etcd's gateway tells it. */
export function badBinary(rawHeaders: HeaderFields): RpcError | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (BINARY.test(name) && !BASE64.test(rawHeaders[i + 1] as string))
      return new RpcError(
        Code.INVALID_ARGUMENT,
        `invalid binary header ${canonical(name)}: illegal base64 data`,
      );
  }
  return undefined;
}

/** A name as Go writes it. */
function canonical(name: string): string {
  return name.toLowerCase().replaceAll(/(?:^|-)[a-z]/g, (first) => first.toUpperCase());
}
