/** One run of the model: does everything, waits until everybody has had what happened, compares. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RawGrpcClient } from '../../support/raw-grpc.ts';
import type { Bench } from './bench.ts';
import { WatchingClient } from './client.ts';
import type { Happening } from './history.ts';
import type { Observed } from './observed.ts';
import type { Operation } from './operations.ts';
import { isOfMany, perform } from './perform.ts';

/** Streams of clients, and the connections that they share. */
const CLIENTS = 6;
const CONNECTIONS = 3;
/** Of so many clients one demands a leader. */
const DEMANDING = 3;
/** How long everybody may take to get everything after the last change, in milliseconds. */
const LIMIT_MS = 30_000;
/** How often a client asks for progress that it was not told. */
const ASK_MS = 300;

/**
 * Runs the operations on a bench.
 * @returns how many watches were checked, without those of which there are many alike @throws an Error that names each watch which saw anything wrong
 */
export async function run(bench: Bench, operations: readonly Operation[]): Promise<number> {
  let changed = Promise.withResolvers<void>();
  const tell = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const { history, record } = bench;
  record.forget();
  const grpc = Array.from({ length: CONNECTIONS }, () => new RawGrpcClient(bench.proxy.address));
  const clients = Array.from(
    { length: CLIENTS },
    (_, i) =>
      new WatchingClient(
        grpc[i % CONNECTIONS] as RawGrpcClient,
        tell,
        i % DEMANDING === 0 ? { metadata: { hasleader: 'true' } } : {},
      ),
  );
  const world = {
    direct: () => bench.direct,
    history,
    clients,
    fault: bench.fault.bind(bench),
  };
  /** Waits until something holds, or something is wrong, or the time is up. */
  const inTime = async (holds: () => boolean, askMs: number): Promise<boolean> => {
    const deadline = Date.now() + LIMIT_MS;
    while (!holds()) {
      if (Date.now() > deadline || clients.some(({ failure }) => failure !== undefined)) return false;
      await Promise.race([changed.promise, sleep(askMs)]);
    }
    return true;
  };
  try {
    for (const operation of operations) {
      await perform(operation, world);
      bench.happened(operation.op);
    }
    await bench.settled();
    for (const client of clients) client.resume();
    const last = await bench.putLast();
    await history.reach(last);
    const watches = clients.flatMap((client) => client.watches);
    const settled = (): boolean =>
      clients.every((client) => client.answered) && watches.every((watch) => hasAll(watch, bench));
    await inTime(settled, 500);
    let problems = allComplaints(clients, bench);
    if (problems.length === 0 && bench.progressIsSafe) {
      const told = await inTime(() => clients.every((client) => client.told(last)), ASK_MS);
      if (!told) problems.push(`a client is not told its progress up to ${last}`);
    }
    // What came after the last event that was waited for must not have come.
    if (problems.length === 0) problems = allComplaints(clients, bench);
    if (problems.length > 0) {
      const compactions = `compacted at ${[...bench.history.compactions].join(' ')}`;
      throw new Error([...problems, compactions, onTheWire(watches, bench), await bench.state()].join('\n'));
    }
    if (clients.some((client, i) => i % DEMANDING === 0 && client.watches.length > 0)) bench.count('leader');
    return watches.filter(({ wish }) => !isOfMany(wish)).length;
  } finally {
    for (const client of clients) client.close();
    for (const client of grpc) client.close();
  }
}

function hasAll(watch: Observed, { history }: Bench): boolean {
  return !watch.live || (watch.start !== undefined && watch.complete(history.events));
}

/** What etcd told the proxy where the first event is that a watch has missed. */
function onTheWire(watches: readonly Observed[], { history, record }: Bench): string {
  for (const watch of watches) {
    const missed = watch.missed(history.events);
    if (missed !== undefined)
      return `missed ${missed.plain}, ${JSON.stringify(watch.wish)}\n  ${record.report(missed)}`;
  }
  return '';
}

function allComplaints(clients: readonly WatchingClient[], bench: Bench): string[] {
  const problems = clients.flatMap(({ failure }) => failure ?? []);
  for (const [i, client] of clients.entries())
    for (const watch of client.watches) problems.push(...complaints(watch, bench, i));
  return problems;
}

function complaints(watch: Observed, bench: Bench, client: number): string[] {
  const { history, record } = bench;
  const mayMiss = (event: Happening): boolean =>
    bench.losesDeletes && event.isDelete && history.compactions.has(event.revision) && record.leftOut(event);
  const problems = watch.problems(history.events, history.compacted, mayMiss);
  if (problems.length === 0) return [];
  const about = `client ${client}, ${JSON.stringify(watch.wish)} from ${watch.start}`;
  return problems.map((problem) => `${problem}: ${about}`);
}
