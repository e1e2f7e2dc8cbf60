/**
 * `npm run bench:failing`: what clients get while the member in use fails, through this proxy, through etcd's grpc-proxy,
 * and from the members themselves (grpc-js, round robin), all at once in front of one cluster. Prints a table and writes
 * it into docs/benchmarks.md. `BENCH_ONLY` picks faults by name, `BENCH_SECONDS` is how long the load goes on.
 */
import type { Who } from '../test/failing/contestants.ts';
import { type Fault, faults } from '../test/failing/faults.ts';
import { cells, type Outcome } from '../test/failing/outcome.ts';
import { rehearse } from '../test/failing/rehearse.ts';
import { newestEtcd } from '../test/support/etcd.ts';
import { writeSection } from './support/report.ts';

const WHO: readonly Who[] = ['proxy', 'direct', 'incumbent'];

const NAMES: Readonly<Record<Who, string>> = {
  proxy: 'etcd-connect-proxy',
  direct: 'members themselves',
  incumbent: 'etcd grpc-proxy',
};

const ROWS: readonly Fault[] = [
  faults.cutFollower,
  faults.cutLeader,
  faults.learner,
  faults.defragments,
  faults.hangs,
  faults.leaderHangs,
  faults.stopped,
  faults.removed,
  faults.stuckBackend,
  faults.stalls,
  faults.nameMoves,
];

const HEAD = [
  '| the member in use … | server | gets: service after, answered from then on | puts | events lost, twice or out of order | leases lost (of 4) | waiting Lock | switches |',
  '| --- | --- | --- | --- | --- | --- | --- | --- |',
];

const SETUP = `Loads of four clients (deadlines of 1 s and 3 s, a put of a new key and a linearizable get every 150 ms each), two watches
that go on where they were (one with \`hasleader\`), four leases of 5 s with the heartbeats of etcd's Go client, and a Lock that gets its turn at the end.
Service is there with the first of ten successes in a row; where that never comes, calls are counted from 3 s after the fault. A fault of the leader counts from the next leader on.`;

const seconds = Number(process.env.BENCH_SECONDS ?? 30);
const only = process.env.BENCH_ONLY;
const table = [...HEAD];

function report(name: string, outcome: Outcome): void {
  table.push(`| ${[name, NAMES[outcome.who], ...cells(outcome)].join(' | ')} |`);
  process.stdout.write(`${table.at(-1)}\n`);
  for (const [kind, { failures }] of [['get', outcome.get] as const, ['put', outcome.put] as const])
    for (const [failure, count] of failures) process.stdout.write(`    ${count} x ${kind}: ${failure}\n`);
  for (const wrong of outcome.wrongWrites) process.stdout.write(`    ${wrong}\n`);
}

process.stdout.write(`${HEAD.join('\n')}\n`);
for (const fault of ROWS) {
  if (only !== undefined && !fault.name.includes(only)) continue;
  for (const outcome of await rehearse(fault, { who: WHO, seconds })) report(fault.name, outcome);
}
const { version } = await newestEtcd();
const setup = `Three members of etcd ${version}, load for ${seconds} s after the fault. ${SETUP}`;
if (only === undefined) await writeSection('Failing members', 'npm run bench:failing', setup, table);
process.exit(0);
