/** Whatever bytes come, the door answers within its protocols: no fault, no hang, no exit. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { StreamHandler } from '../../src/rpc/contract.ts';
import { OK } from '../../src/rpc/status.ts';
import { Door } from './support.ts';

const RPCS = ['/etcdserverpb.KV/Range', '/etcdserverpb.KV/Txn', '/v3electionpb.Election/Observe', '/x.Y/Z'];
const GATEWAY = ['kv/range', 'kv/txn', 'election/observe', 'watch', 'lease/keepalive', 'x'];
const PATHS = [...RPCS, ...GATEWAY.map((path) => `/v3/${path}`)];
const TYPES = [
  'application/json',
  'application/proto',
  'application/grpc-web+proto',
  'application/grpc-web+json',
  'application/connect+proto',
  'application/connect+json',
];

/** A body: noise, an envelope around noise, or nearly JSON. */
const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 40 }), fc.uint8Array({ maxLength: 40 }))
    .map(([flags, length, bytes]) => Buffer.from([flags, 0, 0, 0, length, ...bytes])),
  fc.json().map((json) => Buffer.from(json)),
  fc
    .tuple(fc.constantFrom('key', 'limit', 'compare', 'success', 'name'), fc.string({ unit: 'binary' }))
    .map(([name, value]) => Buffer.from(JSON.stringify({ [name]: value }))),
);
const requests = fc.record({
  path: fc.constantFrom(...PATHS),
  type: fc.constantFrom(...TYPES),
  body: bodies,
  zipped: fc.constantFrom('no', 'yes', 'not really'),
});

test('noise is answered', async () => {
  const agent = new Agent({ keepAlive: true });
  const ending: StreamHandler = (client) => {
    const ignore = (): void => {};
    client.listener = {
      onMessage: ignore,
      onHalfClose: () => client.end(OK),
      onDrain: ignore,
      onCancel: ignore,
    };
  };
  await using door = await Door.open({
    unary: { [PATHS[0] as string]: () => new Uint8Array(0), [PATHS[1] as string]: () => new Uint8Array(0) },
    stream: {
      [PATHS[2] as string]: ending,
      '/etcdserverpb.Watch/Watch': ending,
      '/etcdserverpb.Lease/LeaseKeepAlive': ending,
    },
  });
  const post = (path: string, headers: Record<string, string>, body: Buffer): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = request(door.url + path, { method: 'POST', headers, agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      sent.on('error', reject).end(body);
    });
  await fc.assert(
    fc.asyncProperty(requests, async ({ path, type, body, zipped }) => {
      const headers: Record<string, string> = { 'content-type': type };
      if (zipped !== 'no') {
        for (const name of ['content-encoding', 'connect-content-encoding', 'grpc-encoding'])
          headers[name] = 'gzip';
      }
      const status = await post(path, headers, zipped === 'yes' ? gzipSync(body) : body);
      assert.ok([200, 400, 404, 415, 429, 501].includes(status), `${status}`);
      assert.deepEqual(door.observer.faults, []);
    }),
    { numRuns: 2500 },
  );
  agent.destroy();
});
