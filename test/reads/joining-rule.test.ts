/**
 * The test of the tests: the same load on the same etcd, once with the joining rule and once with one that lets
 * reads join a call that was sent already. The checker must accept the first and refuse the second. Reads take a
 * detour that delays answers, so that writes overtake them; writes go directly to etcd.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Flights } from '../../src/flights/flights.ts';
import type { UnaryHandler } from '../../src/rpc/contract.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { joinWhatWasSent } from './broken-rule.ts';
import { clientInProcess, connect, lightClientOf, logOf, PATIENT_MS } from './clients.ts';
import { Fire } from './fire.ts';
import { History } from './history.ts';
import { violations } from './linearizable.ts';
import { mustFind } from './must-find.ts';

const nothing = (): void => {};
const LIMITS = { maxFlights: 100, maxPassengers: 1000, maxKeyBytes: 1000 };

describe('the joining rule', () => {
  const held = new AsyncDisposableStack();
  let etcd: EtcdCluster;
  let upstream: ClusterClient;
  let seed = 0;
  before(async () => {
    etcd = held.use(await startEtcd());
    const relay = held.use(await Relay.open(etcd.first.address, { delayMs: 5 }));
    upstream = connect(relay.address, PATIENT_MS);
    held.defer(() => upstream.close());
  });
  after(() => held.disposeAsync());

  /** What is wrong with a history of reads through a handler. */
  async function judge(handler: UnaryHandler, serializable: boolean): Promise<string[]> {
    const direct = lightClientOf(etcd.first.address, held);
    const history = new History();
    const fire = new Fire(history, ++seed);
    const stop = new AbortController();
    const reader = { client: clientInProcess(handler), writes: 0, serializable, restMs: 10 };
    const sessions = Array.from({ length: 20 }, (_, i) => ({ name: `reader ${seed}/${i}`, ...reader }));
    const writers = Array.from({ length: 3 }, (_, i) => ({
      name: `writer ${seed}/${i}`,
      client: direct,
      writes: 1,
    }));
    const done = fire.run([...sessions, ...writers], stop.signal);
    await until(
      () => `700 reads, not ${history.reads.length}`,
      () => history.reads.length >= 700,
      60_000,
    );
    stop.abort();
    await done;
    assert.deepEqual(fire.failures, []);
    return violations(history, await logOf(etcd.first.address)).slice(0, 5);
  }

  for (const serializable of [false, true]) {
    // with one etcd only, a serializable read that asks it anew sees everything that it acknowledged
    const kind = serializable ? 'serializable' : 'linearizable';
    test(`kept, ${kind} reads are accepted`, async () => {
      let joined = 0;
      const flights = new Flights(upstream, LIMITS, {
        onSent: nothing,
        onEnded: nothing,
        onJoined: () => void joined++,
        onRefused: (limit) => assert.fail(limit),
      });
      assert.deepEqual(await judge((request, call) => flights.unary(request, call), serializable), []);
      assert.ok(joined > 100, `${joined} reads joined another`);
    });

    test(`broken, ${kind} reads are refused`, async () => {
      const run = () => judge(joinWhatWasSent(upstream), serializable);
      await mustFind(run, /too old, \d+ was known before it began/);
    });
  }
});
