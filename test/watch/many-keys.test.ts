/**
 * What watches of very many different keys cost etcd through the proxy, by etcd's own count, beside the same directly: memory
 * after a collection, and streams. 30 000 of them with `LONG=1`, as `npm run test:long` sets it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { heldBy, memoryOf, PROFILED, watchesOf } from '../support/etcd-load.ts';
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

test(`${KEYS} different keys cost etcd through the proxy what they cost directly`, async () => {
  await using etcd = await startEtcd({ args: [PROFILED] });
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=0s'] });
  const watches = async (): Promise<number> => (await watchesOf(etcd.first)).watchers;
  const cost = async (address: string): Promise<number> => {
    const before = await memoryOf(etcd.first);
    const counts = new LoadCounts();
    using connection = await LoadConnection.open(address);
    const keys = Array.from({ length: KEYS }, (_, i) => ({ key: b(`a/key/of/usual/length/${i}`) }));
    const load = new LoadStream(connection, counts, keys);
    await counts.reach(() => counts.created === KEYS);
    await until('all watches on etcd', async () => (await watches()) === KEYS);
    const { memory, streams } = await heldBy(etcd.first);
    assert.ok(streams <= KEYS / 1000 + FEW, `${streams} streams`);
    load.cancel();
    await until('none any more', async () => (await watches()) === 0);
    return memory - before;
  };
  const direct = await cost(etcd.first.address);
  const proxied = await cost(proxy.address);
  assert.ok(proxied <= direct * RATIO + NOISE, `${proxied} bytes, directly ${direct}`);
});
