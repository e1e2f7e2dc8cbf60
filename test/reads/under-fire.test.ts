/**
 * Linearizability under fire: clients read and write through the proxy and write directly to etcd, while the wires
 * between the proxy and etcd are cut, the member in use is killed, and the leader moved. It ends when
 * enough has happened, with READS_SECONDS not before that time. READS_SEED repeats a run's choices. Once with
 * reads that share calls, once with the keys inside a prefix held in memory.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { lightClientOf, logOf } from './clients.ts';
import { Faults } from './faults.ts';
import { Fire, randomFrom, type Session } from './fire.ts';
import { History } from './history.ts';
import { violations } from './linearizable.ts';

const SECONDS = Number(process.env.READS_SECONDS ?? 0);
const READS = LONG ? 5000 : 2000;
const FAULTS = 2;
const SEED = Number(process.env.READS_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Outcome {
  readonly history: History;
  readonly url: string;
}

/** Whether what is tested was used enough, and the counts that tell. */
interface Use {
  readonly enough: boolean;
  readonly counts: string;
}

/** Runs it all through a proxy with these flags until it was used enough, and has the history judged. */
async function underFire(
  t: TestContext,
  flags: readonly string[],
  look: (outcome: Outcome) => Promise<Use>,
): Promise<void> {
  t.diagnostic(`READS_SEED=${SEED}`);
  await using cluster = await startEtcd({ members: 3, heartbeatMs: 50, electionMs: 500 });
  await using held = new AsyncDisposableStack();
  const relays: Relay[] = [];
  // answers are late, so that writes which go directly to etcd overtake reads under way
  for (const address of cluster.endpoints) relays.push(held.use(await Relay.open(address, { delayMs: 10 })));
  await using proxy = await startProxy({ endpoints: relays.map(({ address }) => address), flags });

  const history = new History();
  const fire = new Fire(history, SEED);
  const faults = new Faults(cluster, relays);
  const stop = new AbortController();
  const sessions = [
    ...sessionsOf('proxy', [proxy.address, proxy.address, proxy.address], 16, 0.1, held),
    ...sessionsOf('direct', cluster.endpoints, 1, 0.8, held),
  ];
  // Serializable reads, from memory where possible: some may be old after a fail-over, but none may be wrong.
  const serializable = new Fire(new History(), SEED);
  const readers = sessionsOf('serializable', [proxy.address], 8, 0, held).map((session) => {
    return { ...session, serializable: true };
  });
  const done = Promise.all([fire.run(sessions, stop.signal), serializable.run(readers, stop.signal)]);
  const faulty = faults.run(stop.signal, randomFrom(SEED));
  let counts = '';
  const enough = async (): Promise<boolean> => {
    if (history.reads.length < READS || Object.values(faults.done).some((count) => count < FAULTS))
      return false;
    const use = await look({ history, url: proxy.url });
    counts = use.counts;
    return use.enough;
  };
  await sleep(SECONDS * 1000);
  await until(() => `enough of ${JSON.stringify(faults.done)}; ${counts}`, enough, 120_000);
  stop.abort();
  await faulty;
  await done;
  await cluster.waitHealthy();

  t.diagnostic(
    `${history.reads.length} reads; ${history.writes.length} writes; ${fire.failures.length} failures; faults ${JSON.stringify(faults.done)}, ${faults.refusals.length} refused`,
  );
  const log = await logOf(cluster.first.address);
  assert.deepEqual(violations(history, log).slice(0, 5), []);
  const wrong = violations(serializable.history, log).filter((what) => !what.includes('too old'));
  assert.deepEqual(wrong.slice(0, 5), []);
  assert.ok(history.writes.length > 100, 'enough changed');
  t.diagnostic(counts);
}

describe('linearizable under fire', { timeout: 2 * (SECONDS * 1000 + 120_000) }, () => {
  test('sharing calls', async (t) => {
    await underFire(t, [], async ({ url }) => {
      const joined = await metric(url, 'etcd_proxy_read_joins_total');
      const hits = await metric(url, 'etcd_proxy_cache_hits_total');
      const counts = `${joined} reads joined another, ${hits} serializable reads from memory`;
      return { enough: joined > 100 && hits > 10, counts };
    });
  });

  test('from a prefix in memory', async (t) => {
    await underFire(t, ['--cache-prefix=fire/'], async ({ history, url }) => {
      const hits = await metric(url, 'etcd_proxy_mirror_hits_total');
      const loads = await metric(url, 'etcd_proxy_mirror_loads_total');
      const counts = `${hits} reads from memory, loaded ${loads} times`;
      return { enough: hits > history.reads.length / 10, counts };
    });
  });
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
