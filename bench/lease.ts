/**
 * `npm run bench:lease`: leases through etcd, its grpc-proxy and this proxy, in turns in one run. Prints a table and writes it
 * into docs/benchmarks.md. Ratios mean more than absolute numbers. For busy machines: `BENCH_LEASES`, `BENCH_SECONDS`,
 * `BENCH_CLIENTS`, `BENCH_ROUNDS`; `BENCH_ONLY` picks works by name.
 */
import { streamsInProgress } from '../test/support/metrics.ts';
import { until } from '../test/support/until.ts';
import { type Contestant, startContestants } from './support/contestants.ts';
import { median } from './support/cpu.ts';
import { beating, flood, kept, type LeaseResult, type Streams } from './support/lease-works.ts';
import { writeSection } from './support/report.ts';

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const LEASES = number('BENCH_LEASES', 5000);
const SECONDS = number('BENCH_SECONDS', 30);
const CLIENTS = number('BENCH_CLIENTS', 200);
const ROUNDS = number('BENCH_ROUNDS', 3);
const only = process.env.BENCH_ONLY;
const whole = only === undefined && LEASES === 5000 && ROUNDS > 1;

type Work = (contestant: Contestant, streams: Streams) => Promise<LeaseResult>;

/** What is done, and whether each round has fresh processes, so that memory is comparable. */
const WORKS: readonly (readonly [name: string, work: Work])[] = [
  [
    `${LEASES} clients with a connection and a lease of 10 s each, for ${SECONDS} s`,
    (contestant, streams) => kept(contestant, streams, LEASES, 10, SECONDS),
  ],
  [
    `${CLIENTS} clients that beat as fast as they are answered`,
    (contestant, streams) => beating(contestant, streams, CLIENTS, SECONDS / 3),
  ],
  ['grants and revokes, 64 at a time', (contestant, streams) => flood(contestant, streams, 64, SECONDS / 3)],
];

const table = [
  '| work | server | answers a second | CPU | RSS | answer ms, p50 / p99 | streams at etcd | errors | leases lost |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
];
let version = '';

/** One round of a work by one contestant after the other. */
async function round(work: Work): Promise<(readonly [Contestant, LeaseResult])[]> {
  await using contestants = await startContestants();
  version = contestants.version;
  const streams = (): Promise<number> =>
    streamsInProgress(`http://${contestants.etcd.address}`, 'LeaseKeepAlive');
  const rows: (readonly [Contestant, LeaseResult])[] = [];
  for (const contestant of [contestants.ours, contestants.incumbent, contestants.etcd]) {
    rows.push([contestant, await work(contestant, streams)]);
    // What a contestant leaves open at etcd is over before the next one begins, but for the stream that the incumbent keeps.
    await until('no stream of clients is left', async () => (await streams()) <= 1);
  }
  return rows;
}

/** The numbers in the middle; errors and losses of all rounds together. */
function middle(results: readonly LeaseResult[]): LeaseResult {
  const of = (pick: (result: LeaseResult) => number): number => median(results.map(pick));
  const sum = (pick: (result: LeaseResult) => number): number =>
    results.reduce((total, result) => total + pick(result), 0);
  return {
    rate: of(({ rate }) => rate),
    cpu: of(({ cpu }) => cpu),
    rss: of(({ rss }) => rss),
    p50: of(({ p50 }) => p50),
    p99: of(({ p99 }) => p99),
    streams: of(({ streams }) => streams),
    errors: sum(({ errors }) => errors),
    lost: sum(({ lost }) => lost),
  };
}

function report(name: string, rows: readonly (readonly [Contestant, LeaseResult])[]): void {
  const reference = rows[1]?.[1];
  const against = (value: number, other: number | undefined): string =>
    other === undefined || other <= 0 ? '' : ` (${(value / other).toFixed(2)}x)`;
  for (const [{ name: who }, { rate, cpu, rss, p50, p99, streams, errors, lost }] of rows) {
    const numbers = [
      `${Math.round(rate)}${against(rate, reference?.rate)}`,
      `${cpu.toFixed(2)} s${against(cpu, reference?.cpu)}`,
      `${(rss / 2 ** 20).toFixed(0)} MiB${against(rss, reference?.rss)}`,
      `${p50.toFixed(2)} / ${p99.toFixed(1)}`,
      streams,
      errors,
      lost,
    ];
    const row = `| ${name} | ${who} | ${numbers.join(' | ')} |`;
    table.push(row);
    process.stdout.write(`${row}\n`);
  }
}

process.stdout.write(`${table.join('\n')}\n`);
for (const [name, work] of WORKS) {
  if (only !== undefined && !name.includes(only)) continue;
  const rounds: (readonly (readonly [Contestant, LeaseResult])[])[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(work));
  const [first = []] = rounds;
  report(
    name,
    first.map(([contestant], at) => [contestant, middle(rounds.map((rows) => rows[at]?.[1] as LeaseResult))]),
  );
}
const setup = `etcd ${version}; one load client on the same machine; medians of ${ROUNDS} rounds. In brackets: against grpc-proxy. CPU and RSS growth are the server's own.`;
if (whole) await writeSection('Leases', 'npm run bench:lease', setup, table);
