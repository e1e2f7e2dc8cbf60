/**
 * A client that is stopped (SIGSTOP) among 1 000 watchers of a key that changes all the while: the others get
 * everything meanwhile, the proxy's memory stays bounded, and when it goes on it has missed nothing. What it does to
 * the others' latency is measured by `npm run bench:watch`. `STOPPED_MS`, `STOPPED_RATE` and `STOPPED_BYTES` set for how
 * long, how many puts there are a second, and their size; 30 000, 1 000 and 256 want two idle cores.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { availableEtcds, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';
import { StoppedReader } from './stopped/stopped-reader.ts';

const stoppedMs = Number(process.env.STOPPED_MS ?? 5000);
const rate = Number(process.env.STOPPED_RATE ?? 200);
const KEY = 'stopped';
const VALUE = 'v'.repeat(Number(process.env.STOPPED_BYTES ?? 4096));
const WATCHERS = 1000;
const STREAMS = 10;
/** Puts go out so many times a second. */
const TICKS = 50;

const HISTORY_BYTES = 1 << 20;
/**
 * What the proxy may grow by over the history: what is on its way to 1 000 watchers that keep up, and the garbage of
 * delivering it, with room to spare. What the stopped client has missed is far more, once for each of the others even.
 */
const MARGIN_BYTES = 160 << 20;

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

for (const install of await availableEtcds())
  test(`etcd ${install.version}: a stopped client costs nothing and misses nothing`, () => stopped(install));

async function stopped(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  const flags = [`--watch-history-bytes=${HISTORY_BYTES}`];
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
  using direct = new RawGrpcClient(etcd.first.address);
  const counts = new LoadCounts();
  using connections = new DisposableStack();
  for (let i = 0; i < STREAMS; i++) {
    const connection = connections.use(await LoadConnection.open(proxy.address));
    const watches = Array.from({ length: WATCHERS / STREAMS }, () => ({ key: b(KEY) }));
    new LoadStream(connection, counts, watches);
  }
  await counts.until(() => counts.created === WATCHERS);
  const first = await put(direct, KEY, VALUE);
  await using reader = await StoppedReader.start(proxy.address, KEY, first);
  await counts.until(() => counts.events === WATCHERS);
  const before = residentBytes(proxy.process.pid);
  let highest = before;

  reader.hold();
  const end = Date.now() + stoppedMs;
  let last = first;
  while (Date.now() < end) {
    const next = sleep(1000 / TICKS);
    const revisions = await Promise.all(Array.from({ length: rate / TICKS }, () => put(direct, KEY, VALUE)));
    last = Math.max(...revisions);
    highest = Math.max(highest, residentBytes(proxy.process.pid));
    await next;
  }
  await counts.until(() => counts.events === (last - first + 1) * WATCHERS || counts.ended > 0);
  assert.equal(counts.events, (last - first + 1) * WATCHERS);
  assert.ok(highest - before < HISTORY_BYTES + MARGIN_BYTES, `${(highest - before) >> 20} MiB`);

  reader.release();
  last = await put(direct, KEY, VALUE);
  const report = await reader.reach(last);
  assert.deepEqual([report.last, report.fault], [last, undefined]);
  await counts.until(() => counts.events === (last - first + 1) * WATCHERS || counts.ended > 0);
  assert.equal(counts.ended, 0);
}
