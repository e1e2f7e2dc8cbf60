/**
 * The encoded headers of requests to etcd. The engine's header encoding keeps no state, so blocks are made once
 * and joined: the part that an endpoint and a method fix, the client's metadata, and the time that is left.
 */

import { TOKEN_FIELDS } from '../etcd/token.ts';
import { encodeHeaders } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { Call } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { formatTimeout } from '../rpc/timeout.ts';
import { INSTANCE, VIA } from '../rpc/via.ts';
import { VERSION } from '../version.ts';

/** Fields whose values are secrets: no hop may put them into a compression table (RFC 7541 section 7.1.3). */
const SECRET = TOKEN_FIELDS;

const prefixes = new WeakMap<Endpoint, WeakMap<Method, Uint8Array>>();

/**
 * The header block of a call to an endpoint.
 * @param deadline what etcd is told of it; `Infinity` where etcd must not end the call by itself
 */
export function requestBlock(endpoint: Endpoint, call: Call, deadline = call.deadline): Uint8Array {
  const prefix = prefixOf(endpoint, call.method);
  if (call.metadata === NO_METADATA && deadline === Number.POSITIVE_INFINITY) return prefix;
  const parts = [prefix, metadataBlock(call.metadata)];
  if (deadline !== Number.POSITIVE_INFINITY) {
    parts.push(encodeHeaders(['grpc-timeout', formatTimeout(deadline - performance.now())]));
  }
  return Buffer.concat(parts);
}

function metadataBlock(metadata: Metadata): Uint8Array {
  const block = metadata.encoded ?? encodeHeaders(metadata.fields, SECRET);
  metadata.encoded = block;
  return block;
}

function prefixOf(endpoint: Endpoint, method: Method): Uint8Array {
  let byMethod = prefixes.get(endpoint);
  if (byMethod === undefined) {
    byMethod = new WeakMap();
    prefixes.set(endpoint, byMethod);
  }
  let prefix = byMethod.get(method);
  if (prefix === undefined) {
    prefix = encodeHeaders(prefixFields(endpoint, method));
    byMethod.set(method, prefix);
  }
  return prefix;
}

function prefixFields(endpoint: Endpoint, method: Method): string[] {
  return [
    ':method',
    'POST',
    ':scheme',
    endpoint.secure ? 'https' : 'http',
    ':path',
    method.path,
    ':authority',
    endpoint.authority,
    'te',
    'trailers',
    'content-type',
    'application/grpc',
    'user-agent',
    `etcd-connect-proxy/${VERSION}`,
    VIA,
    INSTANCE,
  ];
}
