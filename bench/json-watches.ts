/**
 * `npm run bench:json`, second part: the case that breaks etcd (its issue 14077). Clients of its JSON watch one prefix, hundreds of
 * them, over HTTP/1.1 and TLS with auth on, and write beside that. etcd alone, then the proxy in front of another one, in
 * one run. Writes docs/benchmarks.md.
 */
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import {
  askJson,
  enableAuth,
  type JsonTarget,
  JsonWatchers,
  rootToken,
} from '../test/support/json-watchers.ts';
import { startProxy } from '../test/support/proxy.ts';
import { writeSection } from './support/report.ts';
import { makeTls } from './support/tls-files.ts';

const WATCHES = (process.env.BENCH_WATCHES ?? '260,2000').split(',').map(Number);
const PUTS = Number(process.env.BENCH_PUTS ?? 100);
/** Tokens of the one user, as the workers of APISIX have each their own. */
const TOKENS = 16;
/** How long watches may take to be created, and a put or its events to come, in milliseconds. */
const OPEN_MS = 60_000;
const PUT_MS = 5000;
/** After so many puts without an answer no more are tried. */
const MOST_FAILED = 3;
const PREFIX = 'bench/json/';

const percentile = (values: readonly number[], part: number): string => {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  return value === undefined ? 'none' : value.toFixed(0);
};

/** Waits until it holds, or so long. */
async function waits(ms: number, holds: () => boolean): Promise<boolean> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) return false;
    await sleep(1);
  }
  return true;
}

async function watchersAt(etcd: EtcdCluster): Promise<string> {
  const text = await (await fetch(`${etcd.first.metricsUrl}/metrics`)).text();
  return /^etcd_debugging_mvcc_watcher_total (\d+)$/m.exec(text)?.[1] ?? '?';
}

/** The row of one server. */
async function measure(name: string, target: JsonTarget, etcd: EtcdCluster, count: number): Promise<string> {
  using watchers = new JsonWatchers();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await enableAuth(target);
  const tokens: string[] = [];
  for (let n = 0; n < TOKENS; n++) tokens.push(await rootToken(target));
  const began = performance.now();
  for (let n = 0; n < count; n++) {
    watchers.open(target, tokens[n % TOKENS] as string, PREFIX);
    // All handshakes at once would measure those.
    if (n % 50 === 49) await waits(1000, () => watchers.created > n - 100);
  }
  const opened = await waits(OPEN_MS, () => watchers.created === count);
  const openMs = performance.now() - began;
  const { puts, events, failed } = await write(target, watchers, tokens[0] as string, agent);
  const created = opened ? `${count} in ${(openMs / 1000).toFixed(1)} s` : `${watchers.created} of ${count}`;
  const row = [count, name, created, await watchersAt(etcd), percentile(puts, 0.5), percentile(puts, 0.99)];
  agent.destroy();
  return `| ${[...row, percentile(events, 0.5), percentile(events, 0.99), failed].join(' | ')} |`;
}

/** Puts one after the other: how long each takes, and until all watches have had its event. */
async function write(target: JsonTarget, watchers: JsonWatchers, token: string, agent: Agent) {
  const puts: number[] = [];
  const events: number[] = [];
  let failed = 0;
  for (let n = 0; n < PUTS && failed < MOST_FAILED; n++) {
    const before = watchers.events;
    const key = Buffer.from(`${PREFIX}${n}`).toString('base64');
    const began = performance.now();
    try {
      await askJson(target, 'kv/put', { key, value: key }, { token, limitMs: PUT_MS, agent });
      puts.push(performance.now() - began);
    } catch {
      failed++;
      continue;
    }
    if (await waits(PUT_MS, () => watchers.events >= before + watchers.created))
      events.push(performance.now() - began);
  }
  return { puts, events, failed };
}

const { tls, caFile } = await makeTls();
const ca = await readFile(caFile, 'utf8');
const table = [
  '| watches | server | created | watches on etcd | put p50 ms | put p99 ms | event at all p50 ms | p99 ms | puts without an answer in 5 s |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
];
let version = '';
for (const count of WATCHES) {
  await using alone = await startEtcd({ clientTls: tls.etcd });
  version = alone.install.version;
  table.push(await measure('etcd', { url: alone.first.url, ca }, alone, count));
  await using behind = await startEtcd({ clientTls: tls.etcd });
  await using proxy = await startProxy({ endpoints: behind.endpoints, flags: tls.flags });
  const url = proxy.url.replace('http:', 'https:');
  table.push(await measure('etcd-connect-proxy', { url, ca }, behind, count));
}
const setup = `etcd ${version}; watches of one prefix by /v3/watch over HTTP/1.1 and TLS, each on its own connection, with ${TOKENS} tokens of one user; ${PUTS} puts one after the other; the clients are one process on the same machine.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('JSON watches over TLS with auth (etcd issue 14077)', 'npm run bench:json', setup, table);
