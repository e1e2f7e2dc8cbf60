/**
 * The test of the tests: reads of a mirrored prefix, once with the rule that etcd is asked for its revision after the
 * read came, and once with a mirror that answers with what it has. The checker must accept the first and refuse the
 * second. What etcd says takes a detour that delays it, so that the mirror is behind; writes go directly to etcd.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Probes } from '../../src/clients/probes.ts';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { readRangeQuery } from '../../src/etcd/range-query.ts';
import { MirroredReads } from '../../src/mirror/mirrored-reads.ts';
import type { Mirrors } from '../../src/mirror/mirrors.ts';
import type { UnaryHandler } from '../../src/rpc/contract.ts';
import { clientInProcess, lightClientOf, logOf } from '../reads/clients.ts';
import { Fire } from '../reads/fire.ts';
import { History } from '../reads/history.ts';
import { violations } from '../reads/linearizable.ts';
import { mustFind } from '../reads/must-find.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { mirror } from './in-process.ts';

describe('the rule of asking after the read came', () => {
  const held = new AsyncDisposableStack();
  let etcd: EtcdCluster;
  let mirrors: Mirrors;
  let seed = 0;

  before(async () => {
    etcd = held.use(await startEtcd());
    const relay = held.use(await Relay.open(etcd.first.address, { delayMs: 5 }));
    ({ mirrors } = await mirror(held, relay.address, 'fire/'));
  });
  after(() => held.disposeAsync());

  /** A handler that has mirrors answer, with these probes. */
  function handler(probes: Probes): UnaryHandler {
    const below = { unary: () => assert.fail('nothing is forwarded') };
    const fallBacks = { max: 10, waitMs: 20_000 };
    const reads = new MirroredReads(below, {
      parse: readRangeQuery,
      mirrors,
      probes,
      seen: new SeenRevision(),
      fallBacks,
    });
    return (request, call) => reads.unary(request, call);
  }

  /** What is wrong with a history of reads through a handler. */
  async function judge(through: UnaryHandler): Promise<string[]> {
    const direct = lightClientOf(etcd.first.address, held);
    const history = new History();
    const fire = new Fire(history, ++seed);
    const stop = new AbortController();
    const reader = { client: clientInProcess(through), writes: 0, restMs: 10 };
    const readers = Array.from({ length: 20 }, (_, i) => ({ name: `reader ${seed}/${i}`, ...reader }));
    const writer = { client: direct, writes: 1 };
    const writers = Array.from({ length: 3 }, (_, i) => ({ name: `writer ${seed}/${i}`, ...writer }));
    const done = fire.run([...readers, ...writers], stop.signal);
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

  test('kept, reads are accepted', { timeout: 120_000 }, async () => {
    const before = mirrors.stats.hits;
    assert.deepEqual(await judge(handler(mirrors.probes)), []);
    assert.ok(mirrors.stats.hits - before >= 700, 'all answered from memory');
    assert.ok(mirrors.stats.probes < mirrors.stats.hits / 2, 'reads share questions');
  });

  test('broken, reads are refused', { timeout: 120_000 }, async () => {
    const broken: Probes = {
      of: () => ({
        allowed: true,
        permission: () => assert.fail('no serializable reads here'),
        revision(asker) {
          const [mirror] = mirrors.all;
          const { store, cluster } = mirror as NonNullable<typeof mirror>;
          const header = { bytes: new Uint8Array(), revision: store?.applied ?? 0, cluster, member: '' };
          asker.onProbed({ kind: 'ok', header, maybeCompacted: false, at: 0 });
        },
      }),
    };
    await mustFind(() => judge(handler(broken)), /too old, \d+ was known before it began/);
  });
});
