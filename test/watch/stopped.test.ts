/**
 * A client that is stopped (SIGSTOP) among 1 000 watchers of a key that changes all the while: the others get
 * everything meanwhile, the proxy's memory stays bounded, and when it goes on it has missed nothing. What it does to
 * the others' latency is measured by `npm run bench:watch`. `STOPPED_MS`, `STOPPED_RATE` and `STOPPED_BYTES` set for how
 * long, how many puts there are a second, and their size; 30 000, 1 000 and 256 want two idle cores.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentBytes } from '../../bench/support/memory.ts';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { newestEtcds } from '../support/releases.ts';
import { b, put } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';
import { StoppedReader } from './stopped/stopped-reader.ts';

const MIB = 1 << 20;

const stoppedMs = Number(process.env.STOPPED_MS ?? 5000);
const rate = Number(process.env.STOPPED_RATE ?? 200);
const KEY = 'stopped/small';
const VALUE = 'v'.repeat(Number(process.env.STOPPED_BYTES ?? 4096));
const WATCHERS = 1000;
const STREAMS = 10;
/** Puts go out so many times a second. */
const TICKS = 50;

/** What only the stopped client and one that reads have to do with: far more than the proxy may keep for it. */
const LARGE_KEY = 'stopped/large';
const LARGE_VALUE = 'v'.repeat(MIB);
const LARGE_PUTS = 300;

const HISTORY_BYTES = 16 * MIB;
/**
 * What the proxy may grow by: what is on its way to those that keep up, and the garbage of delivering it, which is as
 * much without the stopped client. Were anything kept for that one, it would be more: {@link LARGE_PUTS}.
 */
const GROWTH_BYTES = HISTORY_BYTES + (230 + rate / 10) * MIB;

for (const install of await newestEtcds())
  test(`etcd ${install.version}: a stopped client costs nothing and misses nothing`, () => stopped(install));

async function stopped(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  const flags = [`--watch-history-bytes=${HISTORY_BYTES}`];
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
  using direct = new RawGrpcClient(etcd.first.address);
  const counts = new LoadCounts();
  const wideCounts = new LoadCounts();
  using connections = new DisposableStack();
  for (let i = 0; i < STREAMS; i++) {
    const connection = connections.use(await LoadConnection.open(proxy.address));
    const watches = Array.from({ length: WATCHERS / STREAMS }, () => ({ key: b(KEY) }));
    new LoadStream(connection, counts, watches);
  }
  const all = { key: b('stopped/'), rangeEnd: b('stopped0') };
  new LoadStream(connections.use(await LoadConnection.open(proxy.address)), wideCounts, [all]);
  await counts.reach(() => counts.created === WATCHERS);
  await wideCounts.reach(() => wideCounts.created === 1);
  const first = await put(direct, KEY, VALUE);
  await using reader = await StoppedReader.start(proxy.address, 'stopped/', 'stopped0', first);
  await counts.reach(() => counts.events === WATCHERS);
  const before = residentBytes(proxy.process.pid);
  let grown = 0;
  let history = 0;
  const measure = async (): Promise<void> => {
    grown = Math.max(grown, residentBytes(proxy.process.pid) - before);
    history = Math.max(history, await metric(proxy.url, 'etcd_proxy_watch_history_bytes'));
  };

  reader.hold();
  let small = 1;
  const end = Date.now() + stoppedMs;
  const large = (async () => {
    for (let i = 0; i < LARGE_PUTS; i++) await put(direct, LARGE_KEY, LARGE_VALUE);
  })();
  while (Date.now() < end) {
    const next = sleep(1000 / TICKS);
    await Promise.all(Array.from({ length: rate / TICKS }, () => put(direct, KEY, VALUE)));
    small += rate / TICKS;
    await measure();
    await next;
  }
  await large;
  await counts.reach(() => counts.events === small * WATCHERS || counts.ended > 0);
  assert.equal(counts.events, small * WATCHERS);
  await wideCounts.reach(() => wideCounts.events === small + LARGE_PUTS);
  await measure();
  assert.ok((await metric(proxy.url, 'etcd_proxy_watch_lagging_watchers')) >= 1);
  assert.ok(grown < GROWTH_BYTES, `${grown / MIB} MiB`);
  assert.ok(history <= HISTORY_BYTES, `${history / MIB} MiB of history`);

  reader.release();
  const last = await put(direct, KEY, VALUE);
  const report = await reader.reach(last);
  assert.deepEqual([report.last, report.fault], [last, undefined]);
  await counts.reach(() => counts.events === (small + 1) * WATCHERS || counts.ended > 0);
  assert.equal(counts.ended, 0);
}
