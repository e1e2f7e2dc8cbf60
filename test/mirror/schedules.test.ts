/**
 * Serializable reads of a mirrored prefix while clients write through the proxy and directly to etcd, and the mirror's
 * wire, which is a slow one, is cut again and again. Among the clients of one proxy in front of one member they must be linearizable: each sees what any
 * client of the proxy was told before it began. A mirror that forgets what clients have seen must be found out.
 * MIRROR_SECONDS makes it longer, MIRROR_SEED repeats a run's choices.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { SeenUpstream } from '../../src/clients/seen-upstream.ts';
import { readRangeQuery } from '../../src/etcd/range-query.ts';
import { MirroredReads } from '../../src/mirror/mirrored-reads.ts';
import { clientInProcess, connect, lightClientOf, logOf } from '../reads/clients.ts';
import { Fire, randomFrom, type Session } from '../reads/fire.ts';
import { History } from '../reads/history.ts';
import { violations } from '../reads/linearizable.ts';
import { mustFind } from '../reads/must-find.ts';
import { type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { Relay } from '../support/relay.ts';
import { outerEtcds } from '../support/releases.ts';
import { mirror } from './in-process.ts';

const SECONDS = Number(process.env.MIRROR_SECONDS ?? 2);
/** Enough happens long before, on a busy machine too. */
const LIMIT_MS = 60_000;
const ENOUGH_AT_ONCE = 10;
const SEED = Number(process.env.MIRROR_SEED ?? Math.floor(Math.random() * 2 ** 31));
const TIMEOUT = { timeout: 120_000 + SECONDS * 1000 };

/** Runs a schedule and says what was wrong with it, and how many reads came from memory at once. */
async function run(options: EtcdOptions, cut: boolean, forgetful: boolean) {
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd(options));
  // What the mirror hears comes late, so that clients of the proxy know of writes before it does.
  const wire = held.use(await Relay.open(etcd.first.address, { delayMs: 5 }));
  const seen = new SeenRevision();
  const { mirrors } = await mirror(held, wire.address, 'fire/', seen);

  const cluster = connect(etcd.first.address);
  held.defer(() => cluster.close());
  const upstream = new SeenUpstream(cluster, seen, {
    reads: () => false,
    strict: false,
    elsewhere: async () => undefined,
  });
  const reads = new MirroredReads(
    { unary: (request, call) => upstream.unary(request, call) },
    {
      parse: readRangeQuery,
      mirrors,
      probes: mirrors.probes,
      seen: forgetful ? new SeenRevision() : seen,
      fallBacks: { max: 100, waitMs: 1000 },
    },
  );
  const through = clientInProcess((request, call) =>
    call.method.name === 'Range' ? reads.unary(request, call) : upstream.unary(request, call),
  );
  const told = new Fire(new History(), SEED);
  const others = new Fire(new History(), SEED + 1);
  const stop = new AbortController();
  const session = (name: string, writes: number, restMs: number): Session => {
    return { name, client: through, writes, serializable: true, restMs };
  };
  const sessions = [
    ...Array.from({ length: 12 }, (_, i) => session(`reader ${i}`, 0, 1)),
    ...Array.from({ length: 2 }, (_, i) => session(`writer ${i}`, 0.5, 20)),
    { ...session('linearizable reader', 0, 20), serializable: false },
  ];
  const direct = lightClientOf(etcd.first.address, held);
  const strangers: Session[] = [{ name: 'stranger', client: direct, writes: 1, restMs: 40 }];
  const done = Promise.all([told.run(sessions, stop.signal), others.run(strangers, stop.signal)]);
  const random = randomFrom(SEED);
  const end = performance.now() + SECONDS * 1000;
  // Where the wire is cut, some answers at once are wanted as well, however slow the machine is.
  const isEnough = () =>
    told.history.reads.length >= 1000 && (!cut || mirrors.stats.immediate > ENOUGH_AT_ONCE);
  while (performance.now() < end || !isEnough()) {
    const came = `${told.history.reads.length} reads, ${mirrors.stats.immediate} answered at once`;
    assert.ok(performance.now() < end + LIMIT_MS, `only ${came}`);
    await sleep(200 + 300 * random());
    if (cut) wire.cut();
  }
  stop.abort();
  await done;
  const wrong = violations(told.history, await logOf(etcd.first.address));
  return { wrong, immediate: mirrors.stats.immediate, reads: told.history.reads.length };
}

describe('serializable reads of a mirrored prefix', async () => {
  for (const install of await outerEtcds()) {
    test(`see what clients of the proxy know, etcd ${install.version}`, TIMEOUT, async (t) => {
      t.diagnostic(`MIRROR_SEED=${SEED}`);
      const { wrong, ...counts } = await run({ install }, true, false);
      t.diagnostic(JSON.stringify(counts));
      assert.deepEqual(wrong.slice(0, 5), []);
      assert.ok(counts.immediate > ENOUGH_AT_ONCE, 'some were answered at once');
    });
  }

  test('the proof notices a mirror that forgets what clients have seen', TIMEOUT, async () => {
    await mustFind(async () => (await run({}, false, true)).wrong, /too old, \d+ was known before it began/);
  });
});
