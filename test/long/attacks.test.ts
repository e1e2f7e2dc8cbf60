/**
 * Every attack at once, for ten seconds or with `LONG=1` for ten minutes, beside a hundred honest watchers and their
 * writers: the program lives, no honest call is refused, no event is lost, and afterwards the memory is what it was.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from '../../bench/support/cpu.ts';
import { MIRRORED } from '../../bench/support/grpc-attacks.ts';
import { mib, residentBytes } from '../../bench/support/memory.ts';
import { fillPrefix, PREFIX } from '../../bench/support/read-attacks.ts';
import { untilServing } from '../mirror/support.ts';
import { startEtcd } from '../support/etcd.ts';
import { MEASURED, type MemoryInUse, memoryInUse } from '../support/memory.ts';
import { metric, proxyMetrics } from '../support/metrics.ts';
import { type RunningProcess, startProcess } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { put } from '../support/watch-client.ts';
import type { Tally } from './assault.ts';
import { HonestLoad } from './honest.ts';
import { JSON_RANGE } from './web.ts';

const SECONDS = Number(process.env.LONG_SECONDS ?? (LONG ? 600 : 10));
const WARM_UP_MS = LONG ? 20_000 : 5000;
/** What may be left of all of it, in bytes. */
const LEFT = 64 << 20;
const LIMIT_MS = 60_000;
const SETTLE_MS = 5000;
/** The reader of the log reads for a moment this often. */
const LOG_PAUSE_MS = 5000;
const LOG_READ_MS = 10;
/** What the proxy counts of reached bounds, of lines that nobody read, and of trouble with etcd. */
const BOUNDS =
  /^etcd_proxy_(http[12]_limits|request_bytes_limit|log_lines_lost|mirror_fallbacks|faults|upstream_\w+)_total/;
/** Those who only give up: their connections must live, and in the long run no call of theirs may be refused either. */
const IMPATIENT = LONG ? /given up|deadlines|cancelled/ : /given up|deadlines of/;
const GROUPS = ['frames', 'calls', 'web'];
const ATTACKERS = `${import.meta.dirname}/attackers.ts`;

/** @returns the revision after it */
async function fill(address: string): Promise<number> {
  await fillPrefix(address);
  using client = new RawGrpcClient(address);
  const value = 'v'.repeat(JSON_RANGE.valueBytes);
  let revision = 0;
  for (let i = 0; i < JSON_RANGE.keys; i++) revision = await put(client, `${JSON_RANGE.key}${i}`, value);
  return revision + 1;
}

/** Lets everybody attack while the log is hardly read. @returns what each has done */
async function attack(proxy: RunningProxy, say: (text: string) => void): Promise<Tally[]> {
  await using held = new AsyncDisposableStack();
  const attackers: RunningProcess[] = [];
  for (const group of GROUPS) {
    const attacker = held.use(await startProcess(process.execPath, [ATTACKERS, proxy.address, group]));
    await attacker.waitForLine(/^attacking$/, LIMIT_MS);
    attackers.push(attacker);
  }
  let most = 0;
  const cpu = cpuSeconds(proxy.process.pid);
  let minute = 0;
  const begin = performance.now();
  for (let now = begin; now - begin < SECONDS * 1000; now = performance.now()) {
    proxy.process.holdStderr();
    await sleep(LOG_PAUSE_MS);
    proxy.process.releaseStderr();
    await sleep(LOG_READ_MS);
    assert.equal(proxy.process.exit, undefined, 'the program lives');
    const resident = residentBytes(proxy.process.pid);
    most = Math.max(most, resident);
    if (Math.floor((now - begin) / 60_000) > minute) say(`minute ${++minute}: RSS ${mib(resident)} MiB`);
  }
  say(`CPU seconds of the proxy: ${(cpuSeconds(proxy.process.pid) - cpu).toFixed(0)} of ${SECONDS}`);
  for (const { pid } of attackers) say(`CPU seconds of attackers: ${cpuSeconds(pid).toFixed(0)}`);
  say(`RSS at most, looked at every ${LOG_PAUSE_MS / 1000} s: ${mib(most)} MiB`);
  return (await Promise.all(attackers.map(talliesOf))).flat();
}

async function talliesOf(attacker: RunningProcess): Promise<Tally[]> {
  attacker.endInput();
  const line = await attacker.waitForLine(/^tallies /, LIMIT_MS);
  return JSON.parse(line.slice('tallies '.length)) as Tally[];
}

/** What is in use when it no longer shrinks: feeds that linger and connections whose clients have gone let go. */
async function settled(proxy: RunningProxy): Promise<MemoryInUse> {
  const end = performance.now() + LIMIT_MS;
  for (let last = await memoryInUse(proxy); ; ) {
    await sleep(SETTLE_MS);
    const now = await memoryInUse(proxy);
    if (last.bytes - now.bytes < 1 << 20 || performance.now() > end) return now;
    last = now;
  }
}

test('all attacks at once', { timeout: (SECONDS + 500) * 1000 }, async (t) => {
  const say = (text: string): void => t.diagnostic(text);
  await using etcd = await startEtcd();
  const start = await fill(etcd.first.address);
  const flags = [`--cache-prefix=${MIRRORED},${PREFIX}`];
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags, env: MEASURED });
  for (const prefix of [MIRRORED, PREFIX]) await untilServing(proxy.url, prefix);
  const honest = new HonestLoad(proxy.address, start);
  await sleep(WARM_UP_MS);
  const before = await memoryInUse(proxy);

  const tallies = await attack(proxy, say);
  for (const { name, rounds, operations, cut, why = '' } of tallies)
    say(`${name}: ${rounds} rounds, ${operations} operations, ${cut} cut off or failed ${why}`);

  const after = await settled(proxy);
  const held = 'etcd_proxy_request_bytes_in_flight';
  await until('no request is held', async () => (await metric(proxy.url, held)) < 1 << 20, LIMIT_MS);
  await honest.stop();
  for (const line of honest.told()) say(line);
  say(`heap and external: ${mib(before.bytes)} MiB before, ${mib(after.bytes)} MiB after`);
  say(`RSS: ${mib(before.rss)} MiB before, ${mib(after.rss)} MiB after`);
  for (const line of (await proxyMetrics(proxy.url)).split('\n')) if (BOUNDS.test(line)) say(line);

  assert.equal(proxy.process.exit, undefined, 'the program lives');
  honest.assertServed();
  assert.ok(after.bytes - before.bytes <= LEFT, `${mib(after.bytes - before.bytes)} MiB are left`);
  for (const { name, rounds, operations } of tallies)
    assert.ok((LONG ? operations : rounds) > 0, `${name} was not carried out`);
  for (const { name, cut, why } of tallies) if (IMPATIENT.test(name)) assert.equal(cut, 0, `${name}: ${why}`);
});
