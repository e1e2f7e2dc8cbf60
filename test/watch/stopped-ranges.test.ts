/**
 * A client with many watches whose ranges differ by a key, so that no response for one is a response for another, does not
 * read while a large value is put into all of them: what the proxy keeps meanwhile is printed, and has a bound.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mib, peakOf, residentBytes } from '../../bench/support/memory.ts';
import { newestEtcd, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

const WATCHES = LONG ? 2500 : 400;
const VALUE = 'v'.repeat(1 << 20);
const END = 'ranges0';
/** All that histories keep; what is on its way from etcd, and to the client; and garbage. */
const GROWTH_BYTES = 400 << 20;
/** How long the client does not read, once it has been told of nothing more for that. */
const HELD_MS = LONG ? 10_000 : 2000;

const LAGGING = 'etcd_proxy_watch_lagging_watchers';

/** How long all of it may take to arrive: each is sent by itself, so that it is gigabytes. */
const LIMIT_MS = LONG ? 240_000 : 120_000;

const range = (i: number) => ({ key: b(`ranges/${String(i).padStart(5, '0')}`), rangeEnd: b(END) });

/** In which order the watches come: the first contains the others, or none is contained in one before it. */
const ORDERS = {
  'the widest first': (i: number) => range(i),
  'the widest last': (i: number) => range(WATCHES - i),
} as const;

for (const [name, rangeOf] of Object.entries(ORDERS))
  test(`${WATCHES} watches that differ by a key, ${name}, of a client that does not read`, async (context) => {
    await using etcd = await startEtcd({ install: await newestEtcd() });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using direct = new RawGrpcClient(etcd.first.address);
    using connection = await LoadConnection.open(proxy.address);
    const counts = new LoadCounts();
    new LoadStream(
      connection,
      counts,
      Array.from({ length: WATCHES }, (_, i) => rangeOf(i)),
    );
    await counts.reach(() => counts.created === WATCHES);
    const { pid } = proxy.process;
    const before = residentBytes(pid);
    const { peak } = await peakOf(
      pid,
      (async () => {
        connection.hold();
        await put(direct, 'ranges/99999', VALUE);
        await until('watches that lag', async () => (await metric(proxy.url, LAGGING)) > 0);
        await sleep(HELD_MS);
        connection.release();
        const told = (): string => `${counts.events} of ${WATCHES}`;
        await until(told, () => counts.events === WATCHES || counts.ended > 0, LIMIT_MS);
      })(),
    );
    context.diagnostic(`RSS ${mib(before)} MiB and ${mib(peak - before)} more`);
    assert.deepEqual([counts.events, counts.ended], [WATCHES, 0]);
    assert.ok(peak - before <= GROWTH_BYTES, `${mib(peak - before)} MiB more`);
  });
