/**
 * What watches of very many different keys cost etcd through the proxy, by etcd's own count, beside the same directly: memory
 * after a collection, and streams. 30 000 of them with `LONG=1`, as `npm run test:long` sets it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

const KEYS = LONG ? 30_000 : 8000;
/** Streams beside one for each thousand. */
const FEW = 5;
/** What the proxied ones may cost of what the direct ones do; and what an etcd at rest grows or shrinks by, in bytes. */
const RATIO = 1.3;
const NOISE = 2 << 20;

/** Heap and stacks of an etcd after a collection, in bytes. */
async function memory(url: string): Promise<number> {
  const page = await (await fetch(`${url}/debug/pprof/heap?gc=1&debug=1`)).text();
  const number = (name: string): number => Number(new RegExp(`^# ${name} = (\\d+)`, 'm').exec(page)?.[1]);
  const bytes = number('HeapAlloc') + number('Stack');
  assert.ok(bytes > 0, 'no numbers on the page');
  return bytes;
}

test(`${KEYS} different keys cost etcd through the proxy what they cost directly`, async () => {
  await using etcd = await startEtcd({ args: ['--enable-pprof'] });
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=0s'] });
  const onEtcd = (name: string): Promise<number> =>
    etcdMetric(etcd.first.metricsUrl, `etcd_debugging_mvcc_${name}`);
  const watches = (): Promise<number> => onEtcd('watcher_total');
  const cost = async (address: string): Promise<number> => {
    const before = await memory(etcd.first.url);
    const counts = new LoadCounts();
    using connection = await LoadConnection.open(address);
    const keys = Array.from({ length: KEYS }, (_, i) => ({ key: b(`a/key/of/usual/length/${i}`) }));
    const load = new LoadStream(connection, counts, keys);
    await counts.reach(() => counts.created === KEYS);
    await until('all watches on etcd', async () => (await watches()) === KEYS);
    const after = await memory(etcd.first.url);
    const streams = await onEtcd('watch_stream_total');
    assert.ok(streams <= KEYS / 1000 + FEW, `${streams} streams`);
    load.cancel();
    await until('none any more', async () => (await watches()) === 0);
    return after - before;
  };
  const direct = await cost(etcd.first.address);
  const proxied = await cost(proxy.address);
  assert.ok(proxied <= direct * RATIO + NOISE, `${proxied} bytes, directly ${direct}`);
});
