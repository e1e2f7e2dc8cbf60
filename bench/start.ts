/**
 * `npm run bench:start`: how long it takes until this proxy serves, etcd's own grpc-proxy and a Node.js with nothing but
 * a socket, in turns in one run, and what they take of memory and CPU; then the first calls of the kinds that the web
 * door serves: how long they take, and for how long gRPC calls beside them wait at most. Prints tables and writes them
 * into docs/benchmarks.md.
 */
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEtcd } from '../test/support/etcd.ts';
import { takePort } from '../test/support/ports.ts';
import { median } from './support/cpu.ts';
import { mib, residentBytes } from './support/memory.ts';
import { writeSection } from './support/report.ts';
import { PauseMeter, type Started, startServer } from './support/starting.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
/** Milliseconds in which a server does what it does by itself after it serves, or after a call. */
const SETTLE_MS = 2000;
const LAUNCHER = `${import.meta.dirname}/../bin/etcd-connect-proxy`;
const BARE = `require('node:net').createServer((s)=>s.once('data',(d)=>s.end(d)).on('error',()=>{})).listen(`;

/** The first calls through the web door. */
const CALLS: readonly (readonly [name: string, path: string, init?: RequestInit])[] = [
  ['some hundred of gRPC', ''],
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

interface FirstCall {
  readonly ms: number;
  readonly pause: number;
  readonly resident: number;
}

interface Sample extends Pick<Started, 'seconds' | 'cpu' | 'resident'> {
  readonly settled: number;
  readonly calls: readonly FirstCall[];
}

async function measure(
  address: string,
  program: string,
  args: readonly string[],
  calls: boolean,
): Promise<Sample> {
  await using server = await startServer(address, program, args);
  const { seconds, cpu, resident, pid } = server;
  await sleep(SETTLE_MS);
  const settled = residentBytes(pid);
  const taken: FirstCall[] = [];
  if (calls) {
    using meter = new PauseMeter(address);
    for (const [, path, init] of CALLS)
      taken.push(await firstCall(`http://${address}`, path, init, meter, pid));
  }
  return { seconds, cpu, resident, settled, calls: taken };
}

async function firstCall(
  url: string,
  path: string,
  init: RequestInit | undefined,
  meter: PauseMeter,
  pid: number,
): Promise<FirstCall> {
  meter.take();
  const begun = performance.now();
  if (path !== '') {
    const response = await fetch(url + path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  }
  const ms = performance.now() - begun;
  await sleep(SETTLE_MS);
  return { ms, pause: meter.take(), resident: residentBytes(pid) };
}

const loadBefore = loadavg()[0] as number;
await using etcd = await startEtcd();
const [url] = etcd.urls as [string];
const contestants: readonly (readonly [
  name: string,
  calls: boolean,
  command: (address: string) => readonly string[],
])[] = [
  [
    'etcd-connect-proxy',
    true,
    (address) => [LAUNCHER, 'start', `--endpoints=${url}`, `--listen-addr=${address}`],
  ],
  [
    'etcd grpc-proxy',
    false,
    (address) => [etcd.install.etcd, 'grpc-proxy', 'start', `--endpoints=${url}`, `--listen-addr=${address}`],
  ],
  ['Node.js with a socket', false, (address) => [process.execPath, '-e', `${BARE}${address.split(':')[1]})`]],
];
const samples = new Map<string, Sample[]>(contestants.map(([name]) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, calls, command] of contestants) {
    const address = `127.0.0.1:${await takePort()}`;
    const [program, ...args] = command(address) as [string, ...string[]];
    samples.get(name)?.push(await measure(address, program, args, calls));
  }
}

const middle = <T>(taken: readonly T[], value: (sample: T) => number): number => median(taken.map(value));
const table = [
  '| server | s until it serves, median | least | CPU s until then | MiB resident then | MiB before the first call |',
  '| --- | --- | --- | --- | --- | --- |',
  ...[...samples].map(([name, taken]) => {
    const least = Math.min(...taken.map(({ seconds }) => seconds));
    const [seconds, cpu] = [middle(taken, (s) => s.seconds), middle(taken, (s) => s.cpu)];
    const [then, settled] = [middle(taken, (s) => s.resident), middle(taken, (s) => s.settled)];
    return `| ${name} | ${seconds.toFixed(2)} | ${least.toFixed(2)} | ${cpu.toFixed(2)} | ${mib(then)} | ${mib(settled)} |`;
  }),
  '',
  '| first call of its kind | ms | longest pause of gRPC calls beside it, ms | MiB resident after it |',
  '| --- | --- | --- | --- |',
  ...CALLS.map(([name, path], index) => {
    const taken = (samples.get('etcd-connect-proxy') ?? []).map(({ calls }) => calls[index] as FirstCall);
    const ms = path === '' ? '' : middle(taken, (call) => call.ms).toFixed(0);
    const [pause, resident] = [middle(taken, (call) => call.pause), middle(taken, (call) => call.resident)];
    return `| ${name} | ${ms} | ${pause.toFixed(0)} | ${mib(resident)} |`;
  }),
];
const load = `Load of the machine: ${loadBefore.toFixed(1)} before, ${(loadavg()[0] as number).toFixed(1)} after, on ${availableParallelism()} cores.`;
const setup = `etcd ${etcd.install.version}; ${ROUNDS} rounds in turns, medians. ${load}`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('Starting', 'npm run bench:start', setup, table);
