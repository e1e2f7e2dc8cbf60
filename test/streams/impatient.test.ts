/**
 * Clients that give up while etcd stalls: by deadlines they have declared, or by themselves. That is no attack, so
 * what else they have on the same connection, a watch and a wait for a lock, must live through it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { LockRequestSchema, LockResponseSchema, UnlockRequestSchema } from '#gen/v3lockpb/lock_pb.js';
import { encodeHeaders } from '../../src/http2/index.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { type RawCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, WATCH, WatchCall } from '../support/watch-client.ts';
import { envelope } from './raw-stream.ts';

const RANGE = '/etcdserverpb.KV/Range';
const LOCK = '/v3lockpb.Lock/Lock';
const LIMIT_MS = 60_000;

const range = (key: string): Uint8Array =>
  toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b(key) }));
const head = (path: string, ...more: string[]): Buffer =>
  Buffer.from(
    encodeHeaders([
      ...[':method', 'POST', ':scheme', 'http', ':path', path, ':authority', 'a'],
      ...['content-type', 'application/grpc', 'te', 'trailers', ...more],
    ]),
  );
const lock = (name: string): Uint8Array =>
  toBinary(LockRequestSchema, create(LockRequestSchema, { name: b(name) }));

async function lockKey(
  call: Promise<{ code: number; messages: readonly Uint8Array[] }>,
): Promise<Uint8Array> {
  const { code, messages } = await call;
  assert.equal(code, 0);
  return fromBinary(LockResponseSchema, messages[0] as Uint8Array).key;
}

/** A watch, and a call that waits for a lock somebody else holds, on the connection of a client. */
class LongLived {
  readonly #watch: WatchCall;
  readonly #lock: RawCall;
  readonly #holder: RawGrpcClient;
  readonly #held: Uint8Array;
  readonly #name: string;

  private constructor(client: RawGrpcClient, holder: RawGrpcClient, held: Uint8Array, name: string) {
    this.#holder = holder;
    this.#held = held;
    this.#name = name;
    this.#watch = new WatchCall(client);
    this.#lock = client.open(LOCK);
  }

  static async open(client: RawGrpcClient, holder: RawGrpcClient, name: string): Promise<LongLived> {
    const held = await lockKey(holder.call(LOCK, [lock(name)]));
    const opened = new LongLived(client, holder, held, name);
    await opened.#watch.created({ key: b(name) });
    opened.#lock.send(lock(name));
    opened.#lock.halfClose();
    return opened;
  }

  /** Both still do what they are for. */
  async mustWork(): Promise<void> {
    const revision = await put(this.#holder, this.#name, 'v', { timeoutMs: LIMIT_MS });
    assert.deepEqual(await this.#watch.revisions(1, LIMIT_MS), [revision]);
    const key = { key: this.#held };
    await this.#holder.call('/v3lockpb.Lock/Unlock', [
      toBinary(UnlockRequestSchema, create(UnlockRequestSchema, key)),
    ]);
    assert.ok((await this.#lock.next(LIMIT_MS)) !== undefined, 'the lock is granted');
    this.#watch.close();
  }
}

describe('while etcd stalls', () => {
  let etcd: EtcdCluster;
  before(async () => {
    etcd = await startEtcd();
  });
  after(() => etcd?.stop());

  test('4 000 gets with deadlines of four seconds', async () => {
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using client = new RawGrpcClient(proxy.address);
    using holder = new RawGrpcClient(etcd.first.address);
    const others = await LongLived.open(client, holder, 'deadlines');
    etcd.first.pause();
    try {
      // Twice the burst that may be reset. Long enough also where it is three seconds until the proxy has read them.
      const gets = Array.from({ length: 4000 }, (_, i) =>
        client.call(RANGE, [range(`k${i}`)], { timeoutMs: 4000, limitMs: LIMIT_MS }),
      );
      const codes = new Set((await Promise.all(gets)).map(({ code }) => code));
      assert.deepEqual([...codes], [4]);
    } finally {
      etcd.first.resume();
    }
    await others.mustWork();
    await assert.rejects(
      metric(proxy.url, 'etcd_proxy_http2_limits_total{limit="maxResetsPerSecond"}'),
      'a declared deadline does not even count',
    );
  });

  test('and so do deadlines that pass for the client first, since its requests were late', async () => {
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    const peer = raw.rawClient(Number(proxy.address.split(':')[1]));
    const watch = create(WatchRequestSchema, {
      requestUnion: { case: 'createRequest', value: { key: b('raw') } },
    });
    peer.send(raw.frame('HEADERS', raw.END_HEADERS, 1, head(WATCH)));
    peer.send(raw.frame('DATA', 0, 1, envelope(toBinary(WatchRequestSchema, watch))));
    assert.ok(await peer.nextOf('DATA', 1));
    etcd.first.pause();
    try {
      const ids = Array.from({ length: 4000 }, (_, i) => 2 * i + 3);
      for (const id of ids) {
        peer.send(raw.frame('HEADERS', raw.END_HEADERS, id, head(RANGE, 'grpc-timeout', '900m')));
        peer.send(raw.frame('DATA', raw.END_STREAM, id, envelope(range(`r${id}`))));
      }
      assert.ok(await peer.settled());
      await sleep(600);
      peer.send(...ids.map((id) => raw.frame('RST_STREAM', 0, id, raw.u32(8))));
      assert.ok(await peer.settled(), 'the connection lives on');
    } finally {
      etcd.first.resume();
    }
    using other = new RawGrpcClient(etcd.first.address);
    await put(other, 'raw', 'v', { timeoutMs: LIMIT_MS });
    assert.ok(await peer.nextOf('DATA', 1), 'the watch lives on');
    peer.close();
  });

  test('900 gets a second, each cancelled after 0.2 s', { timeout: 120_000 }, async () => {
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using client = new RawGrpcClient(proxy.address);
    using holder = new RawGrpcClient(etcd.first.address);
    const others = await LongLived.open(client, holder, 'cancels');
    const ends: Promise<number>[] = [];
    etcd.first.pause();
    try {
      const begin = performance.now();
      for (let sent = 0; sent < 9000; ) {
        const due = Math.min(9000, ((performance.now() - begin) * 900) / 1000);
        for (; sent < due; sent++) {
          const call = client.open(RANGE);
          call.send(range(`k${sent}`));
          call.halfClose();
          setTimeout(() => call.cancel(), 200);
          ends.push(call.end.then(({ code }) => code));
        }
        await sleep(5);
      }
      assert.deepEqual([...new Set(await Promise.all(ends))], [1], 'they end because they are cancelled');
    } finally {
      etcd.first.resume();
    }
    const limits = { timeoutMs: LIMIT_MS, limitMs: LIMIT_MS };
    const { code, messages } = await client.call(RANGE, [range('cancels')], limits);
    assert.equal(code, 0);
    assert.equal(fromBinary(RangeResponseSchema, messages[0] as Uint8Array).count, 0n);
    await others.mustWork();
  });

  test('very many that are cancelled at once: slowed down, counted, logged once', async () => {
    const flags = ['--max-resets-per-second=10'];
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
    const peer = raw.rawClient(Number(proxy.address.split(':')[1]));
    const get = (id: number): Buffer[] => [
      raw.frame('HEADERS', raw.END_HEADERS, id, head(RANGE)),
      raw.frame('DATA', raw.END_STREAM, id, envelope(range(`c${id}`))),
    ];
    for (let id = 1; id < 1000; id += 2) peer.send(...get(id), raw.frame('RST_STREAM', 0, id, raw.u32(8)));
    peer.send(...get(1001));
    assert.ok(await peer.nextOf('DATA', 1001), 'the next call is answered');
    peer.close();
    const series = 'etcd_proxy_http2_limits_total{limit="maxResetsPerSecond"}';
    assert.ok((await metric(proxy.url, series)) > 0, 'it was slowed down');
    const lines = (): string[] => proxy.stderr.filter((line) => line.includes('maxResetsPerSecond'));
    await until('it is logged', () => lines().length > 0);
    assert.equal(lines().length, 1, 'and that was logged once');
    assert.match(lines()[0] as string, /"client":"127\.0\.0\.1:\d+"/);
  });
});
