/** Every series of the proxy is named in the table of `every-series.ts`, and moves when what it counts happens. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Registry } from '@prometheus-io/client';
import { type RangeFields, serializable } from '../cache/place.ts';
import { startEtcd } from '../support/etcd.ts';
import { proxyMetrics } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { b, compact, put, WatchCall } from '../support/watch-client.ts';
import { PARTS } from './every-series.ts';
import { changesBetween, familiesOn } from './page-changes.ts';

/** What moves without being counted by a part: it is exposed where the parts are put together. */
const OF_THE_APP = ['etcd_proxy_serializable_reads_behind_total'];

/** The families that rows have moved. */
const moved = new Set<string>();

/** A page without what the library tells of the process, which changes by itself. */
const plain = (page: string): string => page.replace(/^(# \w+ )?(process|nodejs)_.*\n/gm, '');

describe('a number moves when the thing happens, and no other does', () => {
  for (const [name, part] of Object.entries(PARTS))
    test(name, async () => {
      const registry = new Registry();
      const rows = part(registry);
      let before = plain(await registry.metrics());
      for (const [act, changes] of rows) {
        act();
        const after = plain(await registry.metrics());
        assert.deepEqual(changesBetween(before, after), changes);
        before = after;
      }
      for (const series of rows.flatMap(([, changes]) => Object.keys(changes)))
        moved.add(series.replace(/\{.*/, '').replace(/_(bucket|sum|count)$/, ''));
      for (const family of familiesOn(before)) assert.ok(moved.has(family), `${family} is in no row`);
    });
});

describe('a proxy', () => {
  test('has these families on its page, and no others', async () => {
    await using etcd = await startEtcd();
    await using proxy = await startProxy({
      endpoints: etcd.endpoints,
      flags: [
        '--cache-prefix=/a/',
        '--listen-namespace=127.0.0.1:0=a/',
        '--resolver-prefix=p',
        '--resolver-ttl=60',
      ],
    });
    const families = familiesOn(plain(await proxyMetrics(proxy.url)));
    assert.deepEqual(families.toSorted(), [...moved, ...OF_THE_APP].toSorted());
  });

  test('counts what becomes of its calls, its watches and what it remembers', async () => {
    await using etcd = await startEtcd();
    await using relay = await Relay.open(etcd.first.address);
    const flags = ['--cache-bytes=16384', '--watch-linger=0s'];
    await using proxy = await startProxy({ endpoints: [relay.address], flags });
    using client = new RawGrpcClient(proxy.address);
    using direct = new RawGrpcClient(etcd.first.address);
    const read = (fields: RangeFields) => client.call('/etcdserverpb.KV/Range', [serializable(fields)]);
    const now = async (series: string): Promise<number> => {
      const line = (await proxyMetrics(proxy.url)).split('\n').find((each) => each.startsWith(`${series} `));
      return Number(line?.split(' ').at(-1) ?? 0);
    };
    /** Does something until a series has grown. */
    const grows = async (series: string, act: () => Promise<unknown>): Promise<void> => {
      const before = await now(series);
      await until(`${series} grows`, async () => {
        await act();
        return (await now(series)) > before;
      });
    };
    const of = 'etcd_proxy_cache';
    await put(direct, 'k', 'v'.repeat(1000));
    for (const series of ['hits_total', 'fills_total', 'entries', 'bytes', 'ranges', 'feeds'])
      assert.equal(await now(`${of}_${series}`), 0, series);
    await grows(`${of}_hits_total`, () => read({ key: b('k') }));
    assert.deepEqual(
      await Promise.all(['entries', 'ranges', 'feeds'].map((series) => now(`${of}_${series}`))),
      [1, 1, 1],
    );
    assert.ok((await now(`${of}_bytes`)) > 1000);
    assert.ok((await now(`${of}_fills_total`)) > 0);
    assert.ok((await now(`${of}_misses_total{reason="unknown"}`)) > 0);
    await grows(`${of}_changed_total`, () => put(direct, 'k', 'w'.repeat(1000)));
    await grows(`${of}_cleared_total`, () =>
      client.call('/etcdserverpb.Auth/RoleDelete', [new Uint8Array()]),
    );
    // Answers of one range, of which only some have room; and one that is too large for any.
    let limit = 1n;
    await grows(`${of}_evicted_total`, async () => {
      limit = (limit % 20n) + 1n;
      for (let twice = 0; twice < 2; twice++) await read({ key: b('k'), rangeEnd: b('l'), limit });
    });
    await put(direct, 'big', 'v'.repeat(4000));
    await grows(`${of}_limits_total{limit="entry_bytes"}`, () => read({ key: b('big') }));

    const up = 'etcd_proxy_upstream';
    const method = 'grpc_service="etcdserverpb.KV",grpc_method="Compact"';
    await grows(`${up}_errors_total{grpc_code="OutOfRange"}`, async () => {
      await assert.rejects(compact(client, 1_000_000));
    });
    assert.equal(await now(`${up}_request_duration_seconds_count{${method}}`), 1);
    assert.ok((await now(`${up}_connections`)) > 0);
    const watch = new WatchCall(client);
    await watch.created({ key: b('watched') });
    await grows('etcd_proxy_watch_resumes_total', async () => relay.cut());
    watch.close();
  });
});
