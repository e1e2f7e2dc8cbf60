/**
 * `npm run bench:attacks`: what hostile clients do to everybody else. Each attack runs from a process of its own, on
 * many connections that are replaced as soon as they are cut off and then on one that comes back a few times a second,
 * against etcd, its grpc-proxy and this proxy in turns, while another client reads at a steady pace. Writes docs/benchmarks.md. `BENCH_ONLY` picks attacks by name.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ATTACKS, type Attack, IMPATIENT } from '../test/http2/support/attacks.ts';
import { PRESSURE_PRELOAD, pressureOn } from '../test/support/pressure.ts';
import { startProcess } from '../test/support/process.ts';
import { RawGrpcClient } from '../test/support/raw-grpc.ts';
import { put } from '../test/support/watch-client.ts';
import { type Contestant, startContestants } from './support/contestants.ts';
import { cpuSeconds } from './support/cpu.ts';
import { GRPC_ATTACKS, MIRRORED } from './support/grpc-attacks.ts';
import { HOARDS } from './support/hoards.ts';
import { mib, peakOf, residentBytes } from './support/memory.ts';
import { fillPrefix, PREFIX, READ_ATTACKS } from './support/read-attacks.ts';
import { writeSection } from './support/report.ts';
import { type Pace, Victim } from './support/victim.ts';

/** How long the reader is measured without and with each attack, and how long an attack gets to warm up. */
const BEFORE_MS = 800;
const DURING_MS = Number(process.env.BENCH_ATTACK_MS ?? 2000);
const WARM_UP_MS = 500;
const START_LIMIT_MS = 30_000;
/** Time for what was held to be let go. */
const AFTER_MS = 700;
const CONNECTIONS = 8;
/** A single offender comes back so many milliseconds after it was cut off. */
const RETURN_MS = 200;
const ATTACKER = `${import.meta.dirname}/support/attacker.ts`;

const pace = ({ p50, p99, failed }: Pace): string =>
  `${p50.toFixed(1)} / ${p99.toFixed(1)}${failed > 0 ? ` (${failed} failed)` : ''}`;

/** Who attacks: so many connections, each replaced so many milliseconds after it was cut off. */
interface Crowd {
  readonly title: string;
  /** For so long etcd stands still first. */
  readonly stallMs: number;
  readonly connections: number;
  readonly returnMs: number;
}

/** Stops etcd for a while. */
async function stall(ms: number): Promise<void> {
  if (ms === 0) return;
  process.kill(contestants.etcd.pid, 'SIGSTOP');
  await sleep(ms);
  process.kill(contestants.etcd.pid, 'SIGCONT');
}

/** The longest pause of our event loop since this was last asked, in milliseconds; nothing for what has no such loop. */
async function longestPause({ process }: Contestant): Promise<string> {
  if (process === undefined) return '';
  return (await pressureOn({ process })).pauseMs.toFixed(0);
}

/** One attack on one contestant: its row. */
async function row(name: string, crowd: Crowd, contestant: Contestant): Promise<string> {
  const { address, pid } = contestant;
  const port = address.split(':')[1] as string;
  using victim = await Victim.open(address, 'bench/key');
  const before = await victim.measure(BEFORE_MS);
  const memory = residentBytes(pid);
  const attacker = await startProcess('node', [
    ATTACKER,
    port,
    name,
    String(crowd.connections),
    String(crowd.returnMs),
  ]);
  await attacker.waitForLine(/^attacking$/, START_LIMIT_MS);
  await stall(crowd.stallMs);
  await sleep(WARM_UP_MS);
  const cpu = cpuSeconds(pid);
  await longestPause(contestant);
  const { result: during, peak } = await peakOf(pid, victim.measure(DURING_MS));
  const used = (cpuSeconds(pid) - cpu) / (DURING_MS / 1000);
  const pause = await longestPause(contestant);
  attacker.endInput();
  const cut = Number((await attacker.waitForLine(/^cut /)).slice('cut '.length));
  await attacker.stop();
  await sleep(AFTER_MS);
  const cells = [
    ...[`${name}${crowd.title}`, contestant.name, pace(before), pace(during), pause, used.toFixed(2)],
    [mib(memory), mib(peak), mib(residentBytes(pid))].join(' → '),
    String(cut),
  ];
  return `| ${cells.join(' | ')} |`;
}

const table = [
  '| attack | server | p50 / p99 ms before | p50 / p99 ms during | longest pause ms | cores used | RSS MiB before → most → after | cut off |',
  '| --- | --- | --- | --- | --- | --- | --- | --- |',
];
await using contestants = await startContestants(
  undefined,
  [`--cache-prefix=${MIRRORED},${PREFIX}`],
  PRESSURE_PRELOAD,
);
await fillPrefix(contestants.etcd.address);
const direct = new RawGrpcClient(contestants.etcd.address);
await put(direct, 'bench/key', 'v'.repeat(260));
direct.close();
const wanted = (process.env.BENCH_ONLY ?? '').split(',');
const nothing: Pick<Attack, 'name' | 'connections' | 'stallMs'> = { name: 'nothing' };
const calls = [...GRPC_ATTACKS, ...HOARDS].map(({ name }): typeof nothing => ({ name }));
const works = [nothing, ...ATTACKS, ...calls, ...READ_ATTACKS, ...IMPATIENT].filter(({ name }) =>
  wanted.some((part) => name.includes(part)),
);
const runs = works.flatMap(({ name, connections = CONNECTIONS, stallMs = 0 }) => {
  const all = { name, crowd: { title: '', connections, returnMs: 0, stallMs } };
  const one = { name, crowd: { title: ', one offender', connections: 1, returnMs: RETURN_MS, stallMs } };
  return connections === 1 ? [all] : [all, one];
});
for (const { name, crowd } of runs) {
  for (const contestant of [contestants.etcd, contestants.incumbent, contestants.ours]) {
    const line = await row(name, crowd, contestant).catch(
      (error: unknown) =>
        `| ${name} | ${contestant.name} | failed: ${String(error).split('\n')[0]} | | | | | |`,
    );
    process.stdout.write(`${line}\n`);
    table.push(line);
  }
}
const setup = `etcd ${contestants.version}; a linearizable read every 2 ms on a connection of its own, measured for ${DURING_MS / 1000} s under each attack. An attack has ${CONNECTIONS} connections (slow ones 1 000), replaced as they are cut off, or one ("one offender") that comes back ${RETURN_MS} ms after it was, and a core of the same two: \`nothing\` keeps that core busy without connecting, and is what the others compare with. The pause is the longest time for which the event loop of this proxy did not turn. The last two rows are no attacks: clients that give up, in the first seconds because etcd stands still; they must not be cut off.`;
if (process.env.BENCH_ONLY === undefined)
  await writeSection('Under attack', 'npm run bench:attacks', setup, table);
