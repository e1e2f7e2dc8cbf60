/**
 * Linearizability under fire: clients read and write through the proxy and write directly to etcd, while the wires
 * between the proxy and etcd are cut, the member in use is killed, and the leader moved. It ends when
 * enough has happened, with READS_SECONDS not before that time. READS_SEED repeats a run's choices.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { lightClientOf, logOf } from './clients.ts';
import { Faults } from './faults.ts';
import { Fire, randomFrom, type Session } from './fire.ts';
import { History } from './history.ts';
import { violations } from './linearizable.ts';
import { metric } from './metrics.ts';

const SECONDS = Number(process.env.READS_SECONDS ?? 0);
const READS = 5000;
const FAULTS = 2;
const SEED = Number(process.env.READS_SEED ?? Math.floor(Math.random() * 2 ** 31));

test('linearizable under fire', { timeout: SECONDS * 1000 + 120_000 }, async (t) => {
  t.diagnostic(`READS_SEED=${SEED}`);
  await using cluster = await startEtcd({ members: 3, heartbeatMs: 50, electionMs: 500 });
  await using held = new AsyncDisposableStack();
  const relays: Relay[] = [];
  // answers are late, so that writes which go directly to etcd overtake reads under way
  for (const address of cluster.endpoints) relays.push(held.use(await Relay.open(address, { delayMs: 10 })));
  await using proxy = await startProxy({ endpoints: relays.map(({ address }) => address) });

  const history = new History();
  const fire = new Fire(history, SEED);
  const faults = new Faults(cluster, relays);
  const stop = new AbortController();
  const sessions = [
    ...sessionsOf('proxy', [proxy.address, proxy.address, proxy.address], 16, 0.1, held),
    ...sessionsOf('direct', cluster.endpoints, 1, 0.8, held),
  ];
  const done = fire.run(sessions, stop.signal);
  const faulty = faults.run(stop.signal, randomFrom(SEED));
  const end = performance.now() + SECONDS * 1000;
  const enough = (): boolean =>
    history.reads.length >= READS && Object.values(faults.done).every((count) => count >= FAULTS);
  while (performance.now() < end || !enough()) await sleep(50);
  stop.abort();
  await faulty;
  await done;
  await cluster.waitHealthy();

  const joined = await metric(proxy.url, 'etcd_proxy_read_joins_total');
  const { reads, writes } = history;
  t.diagnostic(
    `${reads.length} reads, ${joined} joined another; ${writes.length} writes; ${fire.failures.length} failures; faults ${JSON.stringify(faults.done)}, ${faults.refusals.length} refused`,
  );
  assert.deepEqual(violations(history, await logOf(cluster.first.address)).slice(0, 5), []);
  assert.ok(joined > 100 && writes.length > 100, 'enough reads shared a call, and enough changed');
});

/** So many sessions for each address, each address a connection of its own. */
function sessionsOf(
  name: string,
  addresses: readonly string[],
  each: number,
  writes: number,
  held: AsyncDisposableStack,
): Session[] {
  return addresses.flatMap((address, connection) => {
    const client = lightClientOf(address, held);
    return Array.from({ length: each }, (_, i) => ({
      name: `${name} ${connection}/${i}`,
      client,
      writes,
      restMs: 5,
    }));
  });
}
