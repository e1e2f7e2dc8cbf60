/**
 * Random schedules against the cache: many clients that read and write through the proxy, others that write directly to
 * etcd, and a wire that is cut again and again. Serializable reads through one proxy to one member are held to more
 * than their name says: each sees everything that any client of the proxy was told before it began, and its data are
 * exactly the store's at the revision in its header. That is linearizability among the clients of the proxy, so the
 * same checker serves. CACHE_SECONDS makes it longer, CACHE_SEED repeats a run's choices.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { logOf } from '../reads/clients.ts';
import { Fire, randomFrom, type Session } from '../reads/fire.ts';
import { History } from '../reads/history.ts';
import { violations } from '../reads/linearizable.ts';
import { mustFind } from '../reads/must-find.ts';
import type { EtcdInstall } from '../support/etcd.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { type Belief, boastful, forgetful } from './broken-rules.ts';
import { setUp } from './place.ts';

const SECONDS = Number(process.env.CACHE_SECONDS ?? 2);
/** Enough happens long before, on a busy machine too. */
const LIMIT_MS = 60_000;
const SEED = Number(process.env.CACHE_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Outcome {
  readonly wrong: readonly string[];
  readonly hits: number;
  readonly stamps: number;
  readonly reads: number;
  readonly cuts: number;
}

/** Runs a schedule and says what was wrong with it. */
async function runSchedule(
  install: EtcdInstall | undefined,
  wide: boolean,
  cut: boolean,
  belief?: Belief,
): Promise<Outcome> {
  await using held = new AsyncDisposableStack();
  const place = await setUp(held, {
    ...(install === undefined ? {} : { install }),
    ...(belief === undefined ? {} : { belief }),
  });
  const { relay, cache, through, direct, hub } = place;
  // A feed of all keys, as when a client watches them: the entries ride on it, and its progress is theirs.
  const all = new KeyRange('fire/', 'fire0');
  const feeds = hub.feedsOf(clientIdentityOf(NO_METADATA));
  if (wide) feeds.subscribe(all, false, 2, { onBatch: () => {}, onEnd: () => {} });
  const history = new History();
  const fire = new Fire(history, SEED);
  const others = new Fire(new History(), SEED + 1);
  const stop = new AbortController();
  const session = (name: string, writes: number, restMs: number): Session => {
    return { name, client: through, writes, serializable: true, restMs };
  };
  const sessions = [
    ...Array.from({ length: 12 }, (_, i) => session(`reader ${i}`, 0, 1)),
    ...Array.from({ length: 2 }, (_, i) => session(`writer ${i}`, 0.5, 40)),
    { ...session('linearizable reader', 0, 20), serializable: false },
  ];
  const strangers: Session[] = [{ name: 'stranger', client: direct, writes: 1, restMs: 60 }];
  const done = Promise.all([fire.run(sessions, stop.signal), others.run(strangers, stop.signal)]);
  const random = randomFrom(SEED);
  let cuts = 0;
  const end = performance.now() + SECONDS * 1000;
  // Where the wire is cut, answers with newer revisions are wanted as well, however slow the machine is.
  const isEnough = () => cache.stats.hits >= 200 && (!cut || !wide || cache.stats.stamps > 0);
  while (performance.now() < end || !isEnough()) {
    const came = `${cache.stats.hits} answers from memory, ${cache.stats.stamps} with newer revisions`;
    assert.ok(performance.now() < end + LIMIT_MS, `only ${came}`);
    await sleep(200 + 300 * random());
    if (!cut) continue;
    relay.cut();
    cuts++;
  }
  stop.abort();
  await done;
  const wrong = violations(history, await logOf(place.etcd.first.address));
  const { hits, stamps } = cache.stats;
  return { wrong, hits, stamps, reads: history.reads.length, cuts };
}

const installs = await outerEtcds();

describe('schedules', () => {
  for (const install of installs) {
    test(`serializable reads see what clients of the proxy know, etcd ${install.version}`, async (t) => {
      t.diagnostic(`CACHE_SEED=${SEED}`);
      for (const wide of [false, true]) {
        const { wrong, ...counts } = await runSchedule(install, wide, true);
        t.diagnostic(JSON.stringify(counts));
        assert.deepEqual(wrong.slice(0, 5), []);
        assert.ok(counts.hits >= 200 && (!wide || counts.stamps > 0));
      }
    });
  }

  test('the proof notices answers older than what clients know', async () => {
    const run = async () => (await runSchedule(undefined, false, false, forgetful)).wrong;
    await mustFind(run, /too old, \d+ was known before it began/);
  });

  test('the proof notices a header ahead of its data', async () => {
    const run = async () => (await runSchedule(undefined, true, false, boastful)).wrong;
    await mustFind(run, /got .* instead of/);
  });
});

describe('a feed that falls silent', () => {
  test('answers come from etcd until it is there again, and are never older than it was', async () => {
    await using held = new AsyncDisposableStack();
    const { relay, cache, through, direct, warm } = await setUp(held);
    const key = new TextEncoder().encode('silent');
    for (let i = 0; i < 4; i++) {
      const value = new TextEncoder().encode(String(i));
      await direct.put({ key, value });
      await until('the write', async () => {
        const { kvs } = await through.range({ key, serializable: true });
        return Buffer.from(kvs[0]?.value ?? []).toString() === String(i);
      });
      await warm({ key });
      relay.cut();
      const { revision } = (await direct.put({ key, value: new TextEncoder().encode(`${i}+`) })).header ?? {};
      const { behind } = cache.stats.misses;
      await until('the loss to be noticed', async () => {
        await through.range({ key, serializable: true });
        return cache.stats.misses.behind > behind;
      });
      const { kvs } = await through.range({ key, serializable: true });
      assert.equal(kvs[0]?.modRevision, revision);
    }
  });

  test('a feed that is there again, but has yet to bring what it missed, is not believed', async () => {
    await using held = new AsyncDisposableStack();
    const { relay, cache, through, direct, warm, hub } = await setUp(held);
    const bytes = (text: string) => new TextEncoder().encode(text);
    const key = bytes('missed');
    const { behind } = cache.stats.misses;
    // Whether the moment is met is chance.
    for (let i = 0; i < 200 && cache.stats.misses.behind < behind + 3; i++) {
      await direct.put({ key, value: bytes('old') });
      await through.range({ key });
      await warm({ key });
      const [feed] = hub.feeds();
      assert.ok(feed);
      const { resumes } = hub.stats;
      relay.cut();
      const { header } = await direct.put({ key, value: bytes('new') });
      // nobody reads meanwhile, so that no client has seen the write
      await until('the loss', () => hub.stats.resumes > resumes);
      for (const end = performance.now() + 20_000; feed.state !== 'live' && performance.now() < end; )
        await new Promise((resolve) => setImmediate(resolve));
      const { kvs } = await through.range({ key, serializable: true });
      assert.equal(kvs[0]?.modRevision, header?.revision);
    }
    assert.ok(cache.stats.misses.behind >= behind + 3, 'the moment was met');
  });

  test('a feed that etcd has ended is replaced by another one', async () => {
    await using held = new AsyncDisposableStack();
    const { relay, cache, direct, warm, hub } = await setUp(held);
    const key = new TextEncoder().encode('ended');
    await direct.put({ key });
    await warm({ key });
    const [feed] = hub.feeds();
    const { target } = relay;
    relay.target = '127.0.0.1:1'; // nobody listens there
    relay.cut();
    for (let i = 0; i < 3; i++) await direct.put({ key });
    const { header } = await direct.put({ key });
    await direct.compact({ revision: header?.revision ?? 0n });
    relay.target = target;
    await until('the end', () => feed?.state === 'ended');
    assert.deepEqual([cache.entries, cache.covers], [0, 0]);
    assert.equal((await warm({ key })).kvs[0]?.modRevision, header?.revision);
  });
});
