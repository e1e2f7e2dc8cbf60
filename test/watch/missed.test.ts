/** Watchers that lag find what is for them without a look at all that happened meanwhile, and miss nothing of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { WatchCreateRequest_FilterType } from '#gen/etcdserverpb/watch_pb.js';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { batchesOf } from '../../src/watch/batch-draft.ts';
import { HeldBytes } from '../../src/watch/held-bytes.ts';
import { MissedBatches } from '../../src/watch/missed-batches.ts';
import { WatcherIndex } from '../../src/watch/watcher-index.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import { read, response } from './responses.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

/** Numbers that are the same in each run: Lehmer's generator. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

const KEYS = 6;
/** Enough to be told in slices. */
const HUGE = 12_000;

const keyOf = (i: number): string => `m/${i % KEYS}`;

/** What is watched: parts of one range, all on its feed. */
const RANGES: readonly Create[] = [
  ...Array.from({ length: KEYS }, (_, i) => ({ key: b(keyOf(i)) })),
  { key: b('m/1'), rangeEnd: b('m/4') },
  { key: b('m/0'), filters: [WatchCreateRequest_FilterType.NOPUT] },
];

/** A client with one watch, and all that it has to be told. */
class Lagging {
  readonly client: ScriptedClient;
  readonly #range: KeyRange;
  readonly #wantsPuts: boolean;
  #from: number;

  constructor(at: ScriptedHub, watch: Create, start: number) {
    this.client = at.client();
    this.#range = new KeyRange(String(watch.key), String(watch.rangeEnd ?? ''));
    this.#wantsPuts = watch.filters === undefined;
    this.client.watch({ ...watch, startRevision: BigInt(start) });
    this.#from = start;
  }

  async created(): Promise<void> {
    await until('the watch', () => this.client.responses.length > 0);
    this.#from ||= Number(this.client.responses[0]?.header?.revision) + 1;
  }

  wanted(puts: readonly (readonly [number, string])[]): number[] {
    const wants = ([revision, key]: readonly [number, string]): boolean =>
      this.#wantsPuts && revision >= this.#from && this.#range.contains(key);
    return puts.filter(wants).map(([revision]) => revision);
  }
}

/** Puts, in one revision: of some keys, or of very many, one key after the other. */
function tell(at: ScriptedHub, feed: ScriptedWatch, count: number, from: number): [number, string][] {
  const revision = ++at.upstream.revision;
  const keys = Array.from({ length: count }, (_, i) => keyOf(from + Math.floor((i * KEYS) / count)));
  feed.say(revision, { events: keys.map((key) => ({ kv: { key: b(key), modRevision: BigInt(revision) } })) });
  return keys.map((key) => [revision, key]);
}

for (const seed of [1, 2, 3])
  test(`whoever stops and goes on, begins in the past or the future, gets each event once (${seed})`, async () => {
    const next = numbers(seed);
    using at = new ScriptedHub();
    await at.watching('m/', { rangeEnd: b('m0') });
    const feed = await at.created('m/');
    const puts: [number, string][] = [];
    const all: Lagging[] = [];
    /** Some begin, stop and go on. */
    const stir = async (): Promise<void> => {
      if (next(3) === 0) {
        const start = [0, Math.max(2, at.upstream.revision - next(4)), at.upstream.revision + 2 + next(9)];
        const watch = RANGES[next(RANGES.length)] as Create;
        const one = new Lagging(at, watch, start[next(3)] as number);
        if (next(2) === 0) one.client.go(1);
        all.push(one);
        await one.created();
      }
      for (const { client } of all) {
        const what = next(6);
        if (what === 0) client.stop();
        else if (what === 1) client.go(1 + next(3));
        else if (what === 2) client.go();
      }
    };
    for (let round = 0; round < 60; round++) {
      await stir();
      const isHuge = next(15) === 0;
      puts.push(...tell(at, feed, isHuge ? HUGE : 1 + next(2), next(KEYS)));
      for (let i = 0; isHuge && i < 6; i++) {
        await turn();
        await stir();
      }
    }
    const told = (): boolean =>
      all.every(({ client }, i) => {
        client.go();
        return client.revisions.length >= (wanted[i] as number[]).length;
      });
    const wanted = all.map((one) => one.wanted(puts));
    await until('all events', told);
    for (const [i, { client }] of all.entries()) assert.deepEqual(client.revisions, wanted[i]);
    for (const { client } of all) client.leave();
    assert.equal(at.hub.shared.missed.bytes, 0);
  });

describe('what is known of batches', () => {
  test('does not count for one that was looked at in part when somebody fell behind', () => {
    const index = new WatcherIndex({ floor: 0 }, new HeldBytes(1000, () => {}));
    const revisions = Array.from({ length: HUGE }, () => 7);
    const [batch] = batchesOf(...read(Buffer.from(response(revisions))), 0);
    assert.ok(batch !== undefined);
    const looks = index.matching(batch);
    looks.next();
    const audience = index.enter(new KeyRange('k0', ''), 0);
    assert.equal(index.next(audience, 3), 3);
    while (looks.next().done !== true);
    assert.deepEqual([index.next(audience, 3), index.next(audience, 8)], [3, 8]);
  });

  test('is complete from where it begins, and says nothing of what lies before', () => {
    const missed = new MissedBatches({ floor: 0 }, new HeldBytes(1000, () => {}), 10);
    for (const revision of [8, 12, 12, 15]) missed.add(revision);
    assert.deepEqual(
      [4, 9, 10, 12, 13, 16].map((revision) => missed.from(revision)),
      [4, 9, 12, 12, 15, Number.POSITIVE_INFINITY],
    );
  });

  test('is let go with the history, and with the last who needs it', () => {
    const room = new HeldBytes(1000, () => {});
    const history = { floor: 0 };
    const missed = new MissedBatches(history, room, 1);
    for (let revision = 1; revision <= 10; revision++) missed.add(revision);
    history.floor = 9;
    missed.add(11);
    assert.deepEqual([room.bytes, missed.from(9), missed.from(10), missed.from(11)], [24, 9, 10, 11]);
    missed.forget();
    assert.equal(room.bytes, 0);
  });

  test('begins anew where there is no room: who wants to know looks up to there', () => {
    let full = 0;
    const room = new HeldBytes(16, () => full++);
    const missed = new MissedBatches({ floor: 0 }, room, 1);
    for (const revision of [2, 4, 6, 6, 8]) missed.add(revision);
    assert.deepEqual([full, room.bytes], [1, 8]);
    assert.deepEqual(
      [3, 6, 7, 9].map((revision) => missed.from(revision)),
      [3, 6, 8, Number.POSITIVE_INFINITY],
    );
  });
});
