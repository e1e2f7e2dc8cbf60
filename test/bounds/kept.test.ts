/**
 * What clients leave behind in the program: requests with keys and tokens of hundreds of kilobytes, each different, that
 * etcd refuses or grants. When they have gone, nothing of them is kept.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { untilServing } from '../mirror/support.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { bytesInUse, MEASURED } from '../support/memory.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { type CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';
import { b, WatchCall } from '../support/watch-client.ts';

/** What may be left of all of it, in bytes. */
const LEFT = 64 << 20;
const KEY_BYTES = 250_000;
const TOKEN_BYTES = 400_000;

/** A key that no other request has. */
const keyOf = (first: string, i: number, bytes = KEY_BYTES): Uint8Array =>
  b(`${first}${i}/`.padEnd(bytes, 'k'));

/** Metadata with a token that nobody gave out. */
const invented = (bytes = 40): CallOptions => ({
  metadata: { token: randomBytes(bytes / 2).toString('hex') },
});

/** Asks for watches on one stream, a few at a time, and takes the replies. @returns how many were refused */
async function watch(
  client: RawGrpcClient,
  count: number,
  range: (i: number) => { key: Uint8Array; rangeEnd?: Uint8Array },
  options?: CallOptions,
): Promise<number> {
  const call = new WatchCall(client, options);
  // Something else comes first, so that the stream is not left to etcd.
  await call.created({ key: b('first') }).catch(() => undefined);
  let refused = 0;
  for (let i = 0; i < count; i += 10) {
    for (let j = i; j < i + 10; j++) call.create(range(j));
    for (let j = i; j < i + 10; j++) if ((await call.must(60_000)).canceled) refused++;
  }
  call.close();
  return refused;
}

describe('what refused and granted requests leave', () => {
  const held = new AsyncDisposableStack();
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = held.use(await startEtcd());
    const flags = ['--cache-prefix=m/', '--watch-linger=0s'];
    proxy = held.use(await startProxy({ endpoints: [etcd.first.address], flags, env: MEASURED }));
    await untilServing(proxy.url);
    using client = new RawGrpcClient(proxy.address);
    await watch(client, 10, (i) => ({ key: b(`warm/${i}`) }));
  });
  after(() => held.disposeAsync());

  /** Runs an attack with a client of its own, and tells what is left of it. */
  async function left(attack: (client: RawGrpcClient) => Promise<void>): Promise<number> {
    const start = await bytesInUse(proxy);
    {
      using client = new RawGrpcClient(proxy.address);
      await attack(client);
    }
    // The proxy hears of the client's end by the connection.
    let now = 0;
    for (const end = performance.now() + 20_000; performance.now() < end; ) {
      now = (await bytesInUse(proxy)) - start;
      if (now < LEFT) break;
    }
    return now;
  }

  const assertSmall = (bytes: number): void =>
    assert.ok(bytes < LEFT, `${(bytes / 2 ** 20).toFixed(0)} MiB are left`);

  test('watches of empty ranges', async () => {
    const bytes = await left(async (client) => {
      const range = (i: number) => ({ key: keyOf('b', i), rangeEnd: keyOf('a', i) });
      assert.equal(await watch(client, 200, range), 200);
    });
    assertSmall(bytes);
  });

  test('watches with an invented token, which count where auth is off', async () => {
    const bytes = await left(async (client) => {
      const range = (i: number) => ({ key: keyOf('a', i), rangeEnd: keyOf('b', i) });
      // Not more than may be watched at a time.
      assert.equal(await watch(client, 120, range, invented()), 0);
    });
    assertSmall(bytes);
  });

  test('web requests with content types of their own', async () => {
    const bytes = await left(async () => {
      const types = Array.from({ length: 3000 }, (_, i) => `application/json; x=${i}`.padEnd(30_000, 'x'));
      const methods = ['KV/Range', 'KV/Put', 'Lease/LeaseGrant'];
      for (let i = 0; i < types.length; i += 100)
        await Promise.all(
          types.slice(i, i + 100).map(async (type, j) => {
            const url = `${proxy.url}/etcdserverpb.${methods[(i + j) % methods.length]}`;
            const answer = await fetch(url, {
              method: 'POST',
              headers: { 'content-type': type },
              body: '{}',
            });
            await answer.text();
            assert.equal(answer.status, 415);
          }),
        );
    });
    assertSmall(bytes);
  });

  test('reads of a mirrored prefix, each with a token of its own', async () => {
    const probes = await metric(proxy.url, 'etcd_proxy_mirror_probes_total');
    const read = async (client: RawGrpcClient, key: Uint8Array, options: CallOptions): Promise<number> => {
      const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key }));
      return (await client.call('/etcdserverpb.KV/Range', [request], options)).code;
    };
    const bytes = await left(async (client) => {
      for (let i = 0; i < 400; i += 10) {
        // A request that is long itself is left to etcd.
        const reads = Array.from({ length: 10 }, (_, j) =>
          i < 100
            ? read(client, keyOf('m/', i + j, 700_000), invented())
            : read(client, keyOf('m/', i + j, 8000), invented(TOKEN_BYTES)),
        );
        assert.ok((await Promise.all(reads)).every((code) => code === 0));
      }
    });
    const asked = (await metric(proxy.url, 'etcd_proxy_mirror_probes_total')) - probes;
    assert.ok(asked >= 300 && asked < 400, `${asked}`);
    assertSmall(bytes);
  });

  test('watches without a token where auth is on', async () => {
    for (const args of [
      ['user', 'add', 'root:pw'],
      ['user', 'grant-role', 'root', 'root'],
      ['auth', 'enable'],
    ]) {
      const { code, stderr } = await etcd.etcdctl(args);
      assert.equal(code, 0, stderr);
    }
    const bytes = await left(async (client) => {
      const range = (i: number) => ({ key: keyOf('a', i), rangeEnd: keyOf('b', i) });
      assert.equal(await watch(client, 200, range), 200);
    });
    assertSmall(bytes);
  });
});
