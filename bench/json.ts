/**
 * `npm run bench:json`: etcd's JSON from etcd's own gateway and through this proxy, in turns in one run. What both need of the
 * machine is counted together: etcd's CPU time, and the proxy's where it takes part. Writes docs/benchmarks.md.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startEtcd } from '../test/support/etcd.ts';
import { runProcess, tempDir } from '../test/support/process.ts';
import { startProxy } from '../test/support/proxy.ts';
import { cpuSeconds, median } from './support/cpu.ts';
import { writeSection } from './support/report.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
/** Parts of the requests, for a quick look. */
const SCALE = Number(process.env.BENCH_SCALE ?? 1);
const CONNECTIONS = 16;
const KEYS = 1000;

interface Work {
  readonly title: string;
  readonly path: string;
  readonly body: object;
  readonly requests: number;
}

const b64 = (text: string): string => Buffer.from(text).toString('base64');

const WORKS: readonly Work[] = [
  {
    title: `range of ${KEYS} keys`,
    path: 'kv/range',
    body: { key: b64('bench/'), range_end: b64('bench0') },
    requests: 1500 * SCALE,
  },
  {
    title: `serializable range of ${KEYS} keys`,
    path: 'kv/range',
    body: { key: b64('bench/'), range_end: b64('bench0'), serializable: true },
    requests: 1500 * SCALE,
  },
  { title: 'get', path: 'kv/range', body: { key: b64('bench/0') }, requests: 10_000 * SCALE },
  {
    title: 'put',
    path: 'kv/put',
    body: { key: b64('put'), value: b64('v'.repeat(100)) },
    requests: 10_000 * SCALE,
  },
];

interface Side {
  readonly name: string;
  readonly address: string;
  readonly pids: readonly number[];
}

interface Sample {
  readonly rate: number;
  readonly cpu: number;
}

/** Requests a second of h2load over HTTP/1.1. Fails when a single request fails. */
async function load({ address }: Side, { path, body, requests }: Work): Promise<number> {
  const file = join(await tempDir('json-load'), 'body');
  await writeFile(file, JSON.stringify(body));
  const args = ['--h1', `-c${CONNECTIONS}`, `-n${requests}`, `-d${file}`, `http://${address}/v3/${path}`];
  const { stdout, stderr, code } = await runProcess('h2load', args, { limitMs: 300_000 });
  const rate = /([\d.]+) req\/s/.exec(stdout)?.[1];
  const succeeded = new RegExp(`${requests} succeeded, 0 failed, 0 errored`).test(stdout);
  if (code !== 0 || rate === undefined || !succeeded) throw new Error(`h2load failed:\n${stdout}${stderr}`);
  return Number(rate);
}

async function measure(side: Side, work: Work): Promise<Sample> {
  const cpu = (): number => side.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = cpu();
  const rate = await load(side, work);
  return { rate, cpu: ((cpu() - before) / work.requests) * 1e6 };
}

await using etcd = await startEtcd();
await using proxy = await startProxy({ endpoints: etcd.endpoints });
const etcdPid = etcd.first.pid as number;
const sides: readonly Side[] = [
  { name: "etcd's gateway", address: etcd.first.address, pids: [etcdPid] },
  { name: 'etcd-connect-proxy', address: proxy.address, pids: [etcdPid, proxy.process.pid] },
];
for (let n = 0; n < KEYS; n++) {
  const body = JSON.stringify({ key: b64(`bench/${n}`), value: b64('v'.repeat(100)) });
  await (await fetch(`${etcd.first.url}/v3/kv/put`, { method: 'POST', body })).arrayBuffer();
}
const table = [
  '| work | server | requests/s | vs etcd | CPU µs/request, with etcd | vs etcd |',
  '| --- | --- | --- | --- | --- | --- |',
];
for (const work of WORKS) {
  const samples = new Map(sides.map((side) => [side, [] as Sample[]]));
  for (const side of sides) await load(side, { ...work, requests: Math.ceil(work.requests / 4) });
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of sides) samples.get(side)?.push(await measure(side, work));
  }
  const results = [...samples].map(([{ name }, taken]) => ({
    name,
    rate: median(taken.map(({ rate }) => rate)),
    cpu: median(taken.map(({ cpu }) => cpu)),
  }));
  const [base] = results;
  for (const { name, rate, cpu } of results) {
    const ratios = [rate / (base?.rate ?? 0), cpu / (base?.cpu ?? 0)].map((ratio) => `${ratio.toFixed(2)}x`);
    table.push(
      `| ${work.title} | ${name} | ${Math.round(rate)} | ${ratios[0]} | ${cpu.toFixed(0)} | ${ratios[1]} |`,
    );
  }
}
const setup = `etcd ${etcd.install.version}; h2load over HTTP/1.1 with ${CONNECTIONS} connections, values of 100 bytes; median of ${ROUNDS} rounds in turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('JSON', 'npm run bench:json', setup, table);
