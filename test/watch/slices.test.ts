/**
 * Huge revisions are told in slices: in no turn of the event loop more of their events are looked at or copied than a turn
 * may cost, whoever gets them; what comes next on the same feed waits, and nothing else does.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { WatchCreateRequest_FilterType } from '#gen/etcdserverpb/watch_pb.js';
import { Event_EventType } from '#gen/mvccpb/kv_pb.js';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { Code } from '../../src/rpc/status.ts';
import { RangeMap } from '../../src/watch/range-map.ts';
import { Selection } from '../../src/watch/selection.ts';
import { Slices } from '../../src/watch/slices.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

/** More than some turns do of anything. */
const EVENTS = 50_000;
/** What one turn may look at, and the last step of it. */
const TURN = 12_000;

const { NOPUT } = WatchCreateRequest_FilterType;
const ALL: Create = { key: b('h/'), rangeEnd: b('h0') };
const KINDS: readonly Create[] = [
  ALL,
  { ...ALL, filters: [NOPUT] },
  { ...ALL, prevKv: true },
  { ...ALL, fragment: true },
  { key: b('h/2'), rangeEnd: b('h/6') },
];

/** Keys in an order of their own, so that no neighbours can be copied together where a part is wanted. */
const keyOf = (i: number): string => `h/${(i * 7919) % EVENTS}`;

function huge(at: ScriptedHub, feed: ScriptedWatch, count = EVENTS): number {
  const revision = ++at.upstream.revision;
  const events = Array.from({ length: count }, (_, i) => {
    const kv = { key: b(keyOf(i)), modRevision: BigInt(revision), value: b('v') };
    return { type: i % 2 === 0 ? Event_EventType.PUT : Event_EventType.DELETE, kv, prevKv: kv };
  });
  feed.say(revision, { events });
  return revision;
}

/** Counts in each turn how many events are looked up and chosen. */
class Turns {
  most = 0;
  #now = 0;
  #next: NodeJS.Immediate;
  readonly #restore: readonly (() => void)[];

  constructor() {
    const count = (): void => void this.#now++;
    this.#restore = [before(RangeMap.prototype, 'visit', count), before(Selection.prototype, 'add', count)];
    const again = (): void => {
      this.most = Math.max(this.most, this.#now);
      this.#now = 0;
      this.#next = setImmediate(again);
    };
    this.#next = setImmediate(again);
  }

  end(): void {
    clearImmediate(this.#next);
    for (const restore of this.#restore) restore();
  }
}

/** Has something done before each call of a method. @returns what takes that back */
function before<T extends object>(of: T, name: keyof T, act: () => void): () => void {
  const original = of[name];
  of[name] = function (this: unknown, ...args: unknown[]): unknown {
    act();
    return Reflect.apply(original as (...args: unknown[]) => unknown, this, args);
  } as T[keyof T];
  return () => {
    of[name] = original;
  };
}

const has = (client: ScriptedClient, revision: number): boolean => client.revisions.includes(revision);

/** A hub with a feed of everything, which fetches previous values. */
async function begun(at: ScriptedHub): Promise<ScriptedWatch> {
  await at.watching('h/', { rangeEnd: b('h0'), prevKv: true });
  return at.created('h/');
}

describe('a huge revision', () => {
  let at: ScriptedHub;
  let turns: Turns;
  beforeEach(() => {
    at = new ScriptedHub();
    turns = new Turns();
  });
  afterEach(() => {
    turns.end();
    at[Symbol.dispose]();
    assert.ok(turns.most < TURN, `${turns.most} events in a turn`);
  });

  async function join(start = 0n): Promise<ScriptedClient[]> {
    const clients = KINDS.map((create) => {
      const client = at.client();
      client.watch({ ...create, startRevision: start });
      return client;
    });
    await until('the watches', () => clients.every(({ responses }) => responses.length > 0));
    return clients;
  }

  test('reaches who is in step, who lags and who comes later, and what follows comes after it', async () => {
    const feed = await begun(at);
    const synced = await join();
    const lagging = await join();
    for (const client of lagging) client.stop();
    at.tell(feed, 'h/3');
    const first = huge(at, feed);
    const last = at.tell(feed, 'h/3');
    const late = await join(2n);
    for (const client of lagging) client.go();
    const puts = (client: ScriptedClient, i: number): boolean => i % KINDS.length !== 1 && has(client, last);
    const deletes = (client: ScriptedClient, i: number): boolean =>
      i % KINDS.length === 1 && has(client, first);
    const all = [...synced, ...lagging, ...late];
    await until('all of it', () => all.every((client, i) => puts(client, i) || deletes(client, i)));
    for (const { revisions } of all)
      assert.ok(revisions.every((revision, i) => revision >= (revisions[i - 1] ?? 0)));
    await until('nobody lags', () => at.hub.stats.lagging === 0);
  });

  test('does not hold up another feed', async () => {
    const feed = await begun(at);
    const other = await at.watching('x');
    const otherFeed = await at.created('x');
    const [client] = await join();
    huge(at, feed);
    const revision = at.tell(otherFeed, 'x');
    assert.ok(has(other, revision));
    assert.equal(has(client as ScriptedClient, revision - 1), false);
    await until('all of it', () => has(client as ScriptedClient, revision - 1));
  });

  test('is there whole before its stream is lost, and what comes after it is asked for', async () => {
    const feed = await begun(at);
    const [client] = await join();
    const first = huge(at, feed);
    const last = at.tell(feed, 'h/3');
    feed.end({ code: Code.UNAVAILABLE, message: 'lost', details: new Uint8Array(0) } as never);
    await turn();
    // What was on its way was taken at once.
    turns.most = 0;
    await until('all of it', () => has(client as ScriptedClient, last));
    assert.ok(has(client as ScriptedClient, first));
    const next = await at.created('h/');
    assert.equal(next.start, 0);
    assert.deepEqual([...new Set((client as ScriptedClient).revisions)], [first, last]);
  });

  test('that nobody waits for any more is given up', async () => {
    const feed = await begun(at);
    const clients = await join();
    huge(at, feed);
    await turn();
    for (const client of clients) client.leave();
    const [client] = await join();
    await until(
      'all of it',
      () => at.tell(feed, 'h/3') > 0 && has(client as ScriptedClient, at.upstream.revision),
    );
    assert.equal(at.hub.stats.watchers, KINDS.length + 1);
  });

  test('comes once to a subscriber that is there, and to one that comes in the middle of it', async () => {
    const feed = await begun(at);
    const heard = new Map<string, number[]>();
    const subscribe = (name: string): void => {
      heard.set(name, []);
      at.hub.feedsOf(clientIdentityOf(NO_METADATA)).subscribe(new KeyRange('h/', 'h0'), true, 2, {
        onBatch: (batch) => void heard.get(name)?.push(batch.revision),
        onEnd: () => assert.fail('it ends'),
      });
    };
    subscribe('early');
    const revision = huge(at, feed);
    for (let i = 0; i < 100 && [...at.hub.feeds()].every(({ history }) => history.length === 0); i++)
      await turn();
    subscribe('in the middle');
    const [client] = await join(2n);
    await until('all of it', () => has(client as ScriptedClient, revision));
    assert.deepEqual([...heard.values()], [[revision], [revision]]);
  });
});

test('a slice that throws ends nothing but what it is for', async () => {
  const slices = new Slices();
  const seen: string[] = [];
  const job = (name: string, steps: number, fails = false) => ({
    steps: (function* () {
      for (let i = 0; i < steps; i++) {
        seen.push(name);
        yield 6000;
      }
      if (fails) throw new Error(name);
    })(),
    onFault: (error: unknown) => void seen.push(String(error)),
  });
  slices.add(job('a', 3, true));
  slices.add(job('b', 3));
  await turn();
  assert.deepEqual(seen, ['a', 'b']);
  await until('the rest', () => seen.length === 7);
  assert.deepEqual(seen, ['a', 'b', 'a', 'b', 'a', 'b', 'Error: a']);
});
