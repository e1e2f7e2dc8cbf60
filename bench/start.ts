/**
 * `npm run bench:start`: how long it takes until this proxy serves, etcd's own grpc-proxy and a Node.js with nothing but
 * a socket, in turns in one run, and what they take of memory and CPU; then what this proxy reads when it serves already, and
 * the first calls of the kinds that the web door serves: how long they take, for how long gRPC calls beside them wait at
 * most, and how long the longest turn of the event loop is. Prints tables and writes them into docs/benchmarks.md.
 */
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEtcd } from '../test/support/etcd.ts';
import { takePort } from '../test/support/ports.ts';
import { median } from './support/cpu.ts';
import { mib, residentBytes } from './support/memory.ts';
import { writeSection } from './support/report.ts';
import { longestTurn, PauseMeter, type Started, startServer, TURN_METER } from './support/starting.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
/** Milliseconds in which a server does what it does by itself after it serves. */
const SETTLE_MS = 2000;
/** Milliseconds after each call. */
const CALL_MS = 300;
const LAUNCHER = `${import.meta.dirname}/../bin/etcd-connect-proxy`;
const BARE = `require('node:net').createServer((s)=>s.once('data',(d)=>s.end(d)).on('error',()=>{})).listen(`;

/** The first calls through the web door. */
const CALLS: readonly (readonly [name: string, path: string, init?: RequestInit])[] = [
  ['`/health`', '/health'],
  [
    'gRPC-Web',
    '/etcdserverpb.KV/Range',
    post('application/grpc-web+proto', Buffer.from('00000000030a0161', 'hex')),
  ],
  ['Connect', '/etcdserverpb.KV/Range', post('application/json', Buffer.from('{"key":"YQ=="}'))],
  ['`/metrics`', '/metrics'],
];

function post(type: string, body: Buffer<ArrayBuffer>): RequestInit {
  return { method: 'POST', headers: { 'content-type': type }, body };
}

interface Cost {
  readonly ms: number;
  readonly resident: number;
}

interface Sample extends Pick<Started, 'seconds' | 'cpu' | 'resident'> {
  readonly settled: number;
  readonly calls: readonly Cost[];
}

async function costs(
  address: string,
  program: string,
  args: readonly string[],
  calls: boolean,
): Promise<Sample> {
  await using server = await startServer(address, program, args);
  const { seconds, cpu, resident, pid } = server;
  await sleep(SETTLE_MS);
  const settled = residentBytes(pid);
  const taken: Cost[] = [];
  for (const [, path, init] of calls ? CALLS : []) {
    const ms = await call(`http://${address}${path}`, init);
    await sleep(CALL_MS);
    taken.push({ ms, resident: residentBytes(pid) });
  }
  return { seconds, cpu, resident, settled, calls: taken };
}

async function call(url: string, init: RequestInit | undefined): Promise<number> {
  const begun = performance.now();
  const response = await fetch(url, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
  return performance.now() - begun;
}

interface Pause {
  /** How long a gRPC call waited. */
  readonly waited: number;
  /** CPU time of one turn. */
  readonly turn: number;
}

/** The longest pauses: while the rest is read after the start, and at each of the calls. */
async function pauses(address: string, program: string, args: readonly string[]): Promise<Pause[]> {
  await using server = await startServer(address, program, args, TURN_METER);
  using meter = new PauseMeter(address);
  const taken: Pause[] = [];
  const take = async () => taken.push({ waited: meter.take(), turn: await longestTurn(server) });
  await sleep(SETTLE_MS);
  await take();
  for (const [, path, init] of CALLS) {
    await call(`http://${address}${path}`, init);
    await sleep(CALL_MS);
    await take();
  }
  return taken;
}

const loadBefore = loadavg()[0] as number;
await using etcd = await startEtcd();
const [url] = etcd.urls as [string];
const OURS = 'etcd-connect-proxy';
const contestants: readonly (readonly [
  name: string,
  ours: boolean,
  command: (address: string) => readonly string[],
])[] = [
  [OURS, true, (address) => [LAUNCHER, 'start', `--endpoints=${url}`, `--listen-addr=${address}`]],
  [
    'etcd grpc-proxy',
    false,
    (address) => [etcd.install.etcd, 'grpc-proxy', 'start', `--endpoints=${url}`, `--listen-addr=${address}`],
  ],
  ['Node.js with a socket', false, (address) => [process.execPath, '-e', `${BARE}${address.split(':')[1]})`]],
];
const samples = new Map<string, Sample[]>(contestants.map(([name]) => [name, []]));
const ourPauses: Pause[][] = [];
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, ours, command] of contestants) {
    const address = `127.0.0.1:${await takePort()}`;
    const [program, ...args] = command(address) as [string, ...string[]];
    samples.get(name)?.push(await costs(address, program, args, ours));
    if (ours) ourPauses.push(await pauses(address, program, args));
  }
}

const middle = <T>(taken: readonly T[], value: (sample: T) => number): number => median(taken.map(value));
const ours = samples.get(OURS) as Sample[];
const pauseCells = (index: number): string => {
  const taken = ourPauses.map((pause) => pause[index] as Pause);
  return `${middle(taken, ({ waited }) => waited).toFixed(0)} | ${middle(taken, ({ turn }) => turn).toFixed(0)}`;
};
const table = [
  '| server | s until it serves, median | least | CPU s until then | MiB resident then | MiB 2 s later |',
  '| --- | --- | --- | --- | --- | --- |',
  ...[...samples].map(([name, taken]) => {
    const least = Math.min(...taken.map(({ seconds }) => seconds));
    const [seconds, cpu] = [middle(taken, (s) => s.seconds), middle(taken, (s) => s.cpu)];
    const [then, settled] = [middle(taken, (s) => s.resident), middle(taken, (s) => s.settled)];
    return `| ${name} | ${seconds.toFixed(2)} | ${least.toFixed(2)} | ${cpu.toFixed(2)} | ${mib(then)} | ${mib(settled)} |`;
  }),
  '',
  `| ${OURS} | ms | longest wait of gRPC calls beside it, ms | longest turn, ms of CPU | MiB resident after it |`,
  '| --- | --- | --- | --- | --- |',
  `| reads the rest after it serves | | ${pauseCells(0)} | ${mib(middle(ours, (s) => s.settled))} |`,
  ...CALLS.map(([name], index) => {
    const taken = ours.map(({ calls }) => calls[index] as Cost);
    const [ms, resident] = [middle(taken, (cost) => cost.ms), middle(taken, (cost) => cost.resident)];
    return `| first ${name} | ${ms.toFixed(0)} | ${pauseCells(index + 1)} | ${mib(resident)} |`;
  }),
];
const load = `Load of the machine: ${loadBefore.toFixed(1)} before, ${(loadavg()[0] as number).toFixed(1)} after, on ${availableParallelism()} cores.`;
const setup = `etcd ${etcd.install.version}; ${ROUNDS} rounds in turns, medians. ${load}`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('Starting', 'npm run bench:start', setup, table);
