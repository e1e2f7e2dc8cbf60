/** What watches cost etcd and whoever stands before it: very many different keys, and deletes of very many keys. */
import { fill } from '../../test/differential/load/clients.ts';
import { memoryOf } from '../../test/support/etcd-load.ts';
import { RawGrpcClient } from '../../test/support/raw-grpc.ts';
import { b, put, remove } from '../../test/support/watch-client.ts';
import { type Contestant, startContestants } from './contestants.ts';
import { cpuSeconds } from './cpu.ts';
import { Load } from './load.ts';
import { peakOf, residentBytes } from './memory.ts';

/** Whoever has not told everything after so long has lost it; very many events take this client long by itself. */
const LIMIT_MS = 180_000;

/** What one contestant has cost. */
interface Costs {
  /** Bytes on etcd's heap and stacks for the watches alone, after a collection. */
  readonly etcdMemory: number;
  readonly etcdCpu: number;
  /** Of the contestant itself, by which it grew at most. */
  readonly memory: number;
  readonly cpu: number;
  /** Seconds until all watches were created, and from the first change on until all events had come. */
  readonly created: number;
  readonly told: number;
  /** Events that did not come, and what went wrong. */
  readonly lost: number;
  readonly error: string;
}

/** Something that clients do. */
interface CostWork {
  readonly name: string;
  readonly watches: number;
  readonly events: number;
  readonly prepare?: (etcd: RawGrpcClient) => Promise<void>;
  readonly open: (load: Load, address: string) => Promise<void>;
  readonly change: (etcd: RawGrpcClient) => Promise<void>;
}

const distinct = (keys: number): CostWork => ({
  name: `${keys} different keys watched on one client stream, one put each`,
  watches: keys,
  events: keys,
  open: (load, address) => load.open(address, 1, 1, keys, (index) => ({ key: b(`bench/distinct/${index}`) })),
  change: async (etcd) => {
    for (let i = 0; i < keys; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_, j) => put(etcd, `bench/distinct/${i + j}`, 'v')));
  },
});

const deletes = (keys: number, watchers: number): CostWork => ({
  name: `a delete of ${keys} keys of 40 bytes, ${watchers} watchers`,
  watches: watchers,
  events: keys * watchers,
  prepare: (etcd) =>
    fill(
      etcd,
      Array.from({ length: keys }, (_, i) => `bench/del/${String(i).padStart(30, '0')}`),
    ),
  open: (load, address) =>
    load.open(address, 10, 1, watchers / 10, () => ({ key: b('bench/del/'), rangeEnd: b('bench/del0') })),
  // On a busy machine etcd may not wait for it, which it does all the same.
  change: (etcd) =>
    remove(etcd, 'bench/del/', 'bench/del0').catch((error: Error) => {
      if (!/request timed out/.test(error.message)) throw error;
    }),
});

const WORKS: readonly CostWork[] = [distinct(10_000), distinct(30_000), deletes(100_000, 100)];

/** The head of the table that {@link compareCosts} fills; in brackets how many times direct and grpc-proxy's it is. */
export const COSTS_HEAD: readonly string[] = [
  '| work | server | etcd heap + stacks MiB | etcd CPU s | server RSS MiB | server CPU s | created s | all events s | lost, errors |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
];

/** Does a work by one contestant, on an etcd of its own. */
async function costsOf(
  contestant: Contestant,
  etcd: Contestant,
  { watches, events, prepare, open, change }: CostWork,
): Promise<Costs> {
  using direct = new RawGrpcClient(contestant.writes);
  using load = new Load();
  await put(direct, 'bench/warm', 'v');
  await prepare?.(direct);
  const url = `http://${etcd.address}`;
  const [etcdMemory, memory] = [await memoryOf({ url }), residentBytes(contestant.pid)];
  const [etcdCpu, cpu] = [cpuSeconds(etcd.pid), cpuSeconds(contestant.pid)];
  let [created, told, held, looking] = [Number.NaN, Number.NaN, Number.NaN, 0];
  let error = '';
  const work = async (): Promise<void> => {
    let began = performance.now();
    await open(load, contestant.address);
    created = (performance.now() - began) / 1000;
    const before = cpuSeconds(etcd.pid);
    held = (await memoryOf({ url })) - etcdMemory;
    looking = cpuSeconds(etcd.pid) - before;
    began = performance.now();
    await change(direct);
    await load.events(events, LIMIT_MS);
    told = (performance.now() - began) / 1000;
  };
  const failed = (reason: unknown): void => {
    error = `${String(reason).slice(0, 80)}; ${watches - load.counts.created} not created`;
  };
  const { peak } = await peakOf(contestant.pid, work().catch(failed));
  return {
    etcdMemory: held,
    etcdCpu: cpuSeconds(etcd.pid) - etcdCpu - looking,
    memory: peak - memory,
    cpu: cpuSeconds(contestant.pid) - cpu,
    created,
    told,
    lost: events - load.counts.events,
    error,
  };
}

function row(
  work: string,
  server: string,
  costs: Costs,
  direct: Costs,
  incumbent: Costs | undefined,
): string {
  const mib = (bytes: number): number => bytes / 2 ** 20;
  const cell = (of: (costs: Costs) => number, digits: number): string => {
    const ratio = (other: Costs): string => `${(of(costs) / of(other)).toFixed(2)}x`;
    const ratios = [direct, ...(incumbent === undefined ? [] : [incumbent])].map(ratio);
    return `${of(costs).toFixed(digits)} (${ratios.join(', ')})`;
  };
  const own = server === 'etcd' ? ['', ''] : [mib(costs.memory).toFixed(0), costs.cpu.toFixed(2)];
  const cells = [
    work,
    server,
    cell(({ etcdMemory }) => mib(etcdMemory), 1),
    cell(({ etcdCpu }) => etcdCpu, 2),
    ...own,
    cell(({ created }) => created, 2),
    cell(({ told }) => told, 2),
    `${costs.lost}${costs.error === '' ? '' : `: ${costs.error}`}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** The rows of the table, each work by each contestant in turns. @param wanted which works, by name */
export async function compareCosts(
  wanted: (name: string) => boolean,
  say: (row: string) => void,
): Promise<string[]> {
  const rows: string[] = [];
  for (const work of WORKS) {
    if (!wanted(work.name)) continue;
    const all: [server: string, costs: Costs][] = [];
    for (const who of ['etcd', 'incumbent', 'ours'] as const) {
      await using contestants = await startContestants();
      const contestant = contestants[who];
      all.push([contestant.name, await costsOf(contestant, contestants.etcd, work)]);
      const [direct, incumbent] = all as [[string, Costs], [string, Costs] | undefined];
      const line = row(
        work.name,
        contestant.name,
        (all.at(-1) as [string, Costs])[1],
        direct[1],
        incumbent?.[1],
      );
      rows.push(line);
      say(line);
    }
  }
  return rows;
}
