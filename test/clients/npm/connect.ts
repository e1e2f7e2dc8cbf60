/** What programs with Connect's clients do with etcd, whichever protocol their transport speaks. */
import assert from 'node:assert/strict';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

/** What a call is rejected with. */
async function refusal(call: Promise<unknown>): Promise<[Code, string]> {
  const error = await call.then(
    () => assert.fail('the call succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConnectError, String(error));
  return [error.code, error.rawMessage];
}

export async function kv(transport: Transport): Promise<void> {
  const client = createClient(KV, transport);
  const key = bytes('connect/kv/ü');
  await client.deleteRange({ key });
  const value = bytes('some value '.repeat(2000));
  await client.put({ key, value });
  const range = await client.range({ key });
  assert.equal(range.count, 1n);
  assert.deepEqual(range.kvs[0]?.value, value);
  assert.equal(range.kvs[0]?.version, 1n);
  const txn = await client.txn({
    compare: [{ key, targetUnion: { case: 'version', value: 1n } }],
    success: [{ request: { case: 'requestDeleteRange', value: { key, prevKv: true } } }],
  });
  assert.equal(txn.responses[0]?.response.case, 'responseDeleteRange');
  assert.deepEqual(await refusal(client.range({})), [
    Code.InvalidArgument,
    'etcdserver: key is not provided',
  ]);
  assert.deepEqual(await refusal(client.put({ key, lease: 1n })), [
    Code.NotFound,
    'etcdserver: requested lease not found',
  ]);
  const [code] = await refusal(client.range({ key, revision: 10n ** 9n }));
  assert.equal(code, Code.OutOfRange);
}

export async function lease(transport: Transport): Promise<void> {
  const client = createClient(Lease, transport);
  const { ID } = await client.leaseGrant({ TTL: 60n });
  assert.ok(ID > 2n ** 53n, 'the id is one that doubles cannot hold');
  const left = await client.leaseTimeToLive({ ID, keys: true });
  assert.deepEqual([left.ID, left.grantedTTL], [ID, 60n]);
  const { leases } = await client.leaseLeases({});
  assert.ok(leases.some((one) => one.ID === ID));
  await client.leaseRevoke({ ID });
  assert.equal((await client.leaseTimeToLive({ ID })).TTL, -1n);
}

export async function keepAliveOnce(transport: Transport): Promise<void> {
  const leases = createClient(Lease, transport);
  const browser = createClient(Browser, transport);
  const { ID } = await leases.leaseGrant({ TTL: 60n });
  assert.equal((await browser.leaseKeepAliveOnce({ ID })).TTL, 60n);
  await leases.leaseRevoke({ ID });
  assert.equal((await browser.leaseKeepAliveOnce({ ID })).TTL, 0n);
}

/** A watch on a server stream; the client hangs up when it has seen enough. */
export async function browserWatch(transport: Transport): Promise<void> {
  const client = createClient(KV, transport);
  const hangUp = new AbortController();
  const [key, rangeEnd] = [bytes('connect/watch/'), bytes('connect/watch0')];
  const request = { key, rangeEnd, progressNotify: true };
  const stream = createClient(Browser, transport).watch(request, { signal: hangUp.signal });
  const seen: string[] = [];
  await assert.rejects(
    async () => {
      for await (const response of stream) {
        if (response.created) await client.put({ key: bytes('connect/watch/1'), value: bytes('a') });
        for (const { kv: pair } of response.events) seen.push(text(pair?.value));
        if (seen.length === 1) await client.put({ key: bytes('connect/watch/2'), value: bytes('b') });
        if (seen.length === 2) hangUp.abort();
      }
    },
    (error) => ConnectError.from(error).code === Code.Canceled,
  );
  assert.deepEqual(seen, ['a', 'b']);
}

/** A watch as etcd has it; both sides talk, and the client ends its side when it has seen enough. */
export async function bidiWatch(transport: Transport): Promise<void> {
  const client = createClient(KV, transport);
  const key = bytes('connect/bidi');
  const enough = Promise.withResolvers<void>();
  async function* requests() {
    yield { requestUnion: { case: 'createRequest' as const, value: { key } } };
    await enough.promise;
    yield { requestUnion: { case: 'cancelRequest' as const, value: { watchId: 0n } } };
  }
  let canceled = false;
  for await (const response of createClient(Watch, transport).watch(requests())) {
    if (response.created) await client.put({ key, value: bytes('x') });
    if (response.events.length > 0) enough.resolve();
    if (response.canceled) {
      canceled = true;
      break;
    }
  }
  assert.ok(canceled);
}

export async function snapshot(transport: Transport): Promise<void> {
  let size = 0;
  for await (const { blob } of createClient(Maintenance, transport).snapshot({})) size += blob.length;
  assert.equal(size % 4096, 32, 'pages of a database and a checksum');
}
