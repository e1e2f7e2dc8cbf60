/** Requests for which etcd's gateway and the proxy have to give the same answer, as no sound client sends them. They change nothing that others read. */
import type { GatewayRequest } from './sides.ts';

const requests = (path: string, ...bodies: readonly string[]): GatewayRequest[] =>
  bodies.map((body) => ({ path, body }));

const ofKey = '{"key":"a2V5"}';

/** Names that are there twice: known ones must not be. */
export const TWICE: readonly GatewayRequest[] = [
  ...requests(
    'kv/range',
    '{"key":"YQ==","key":"Yg=="}',
    '{"key":"YQ==","key":"YQ=="}',
    '{"key":null,"key":"YQ=="}',
    '{"key":"YQ==","key":null}',
    '{"key":null,"key":null}',
    '{"key":"YQ==","range_end":null,"rangeEnd":"Yg=="}',
    '{"key":"YQ==","range_end":"Yg==","rangeEnd":null}',
    '{"key":"YQ==","k\\u0065y":"Yg=="}',
    '{"key":"YQ==","x":1,"x":2}',
    '{"key":"YQ==","x":{"key":1,"key":[{"key":1,"key":2}]}}',
    '{"key":"YQ==","x":[{"key":"\\"key\\":","key":"\\\\"},{}],"limit":1}',
    '{"key":"YQ==","x":"\\\\","key":"YQ=="}',
    '{"key":"YQ==" } {"key":"YQ==","key":"YQ=="}',
    '{"key" \n:"YQ==","limit":1,"limit" :1}',
    '{"__proto__":1,"__proto__":2,"key":"YQ=="}',
  ),
  ...requests(
    'kv/txn',
    '{"compare":[{"key":"YQ==","target":"MOD","target":"MOD"}]}',
    '{"compare":[{"key":"YQ==","mod_revision":1,"version":null}]}',
    '{"success":[{"request_range":{"key":"YQ=="}}],"success":[]}',
    '{"success":[{"request_range":{"key":"YQ=="}},{"request_range":{"key":"YQ=="}}]}',
    '{"success":[{"request_put":null,"request_range":{"key":"YQ=="}}]}',
    '{"success":[{"request_range":null,"request_range":{"key":"YQ=="}}]}',
    '{"success":[{"request_txn":{"success":[{"request_range":{"key":"YQ==","x":[],"key":"YQ=="}}]}}]}',
  ),
  // One so large that it is read on another thread.
  ...requests('kv/put', `{"key":"YQ==","value":"${'AAAA'.repeat(30_000)}","key":"Yg=="}`),
];

/** Paths that are not clean, metadata that is no base64, and what is wrong before a stream begins. */
export const ODD_HEADS: readonly GatewayRequest[] = [
  ...['/v3/kv/%72ange', '/v3/kv%2Frange', '/%763/kv/range', '/v3/kv/range%3fx', '/v3/kv/%2572ange'].map(
    (path) => ({
      path,
      body: ofKey,
    }),
  ),
  ...[
    '//v3/kv/range',
    '/v3//kv/range?x=y',
    '/v3/kv//range/',
    '/v3',
    '/v3?x',
    '///v3//',
    '/v3//nothing',
  ].flatMap((path) => ['POST', 'GET'].map((method) => ({ path, method }))),
  ...['!!!', 'YQ==', 'YQ', 'YQ=', '_-8', 'YR==', 'A', '', 'YQ==,Yg==', 'AAAA'].map((binary) => ({
    path: 'kv/range',
    body: ofKey,
    headers: { 'grpc-metadata-x-bin': binary },
  })),
  { path: 'watch', body: '{}', headers: { 'grpc-metadata-x-bin': '!' } },
  { path: 'kv/range', body: '{', headers: { 'grpc-metadata-x-bin': '!', 'grpc-timeout': 'x' } },
  // What is wrong before etcd is asked is told in the form of unary calls.
  ...['election/observe', 'maintenance/snapshot'].flatMap((path) => requests(path, '{', '[]')),
  ...['watch', 'lease/keepalive', 'election/observe', 'maintenance/snapshot'].map((path) => ({
    path,
    body: '{}',
    headers: { 'grpc-timeout': 'x' },
  })),
  { path: 'maintenance/snapshot', headers: { 'grpc-timeout': '1n' } },
];
