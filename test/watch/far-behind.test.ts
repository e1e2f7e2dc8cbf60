/** A feed that still works through an old backlog: who wants what comes next does not wait for that. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TOKENLESS } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { MIB, ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

const ALL = { key: b('k/'), rangeEnd: b('k0') };
/** Where etcd is, and where a client begins. */
const [NOW, OLD] = [1_000_000, 2];

let at: ScriptedHub;

beforeEach(() => {
  at = new ScriptedHub();
  at.upstream.revision = NOW;
});
afterEach(() => at[Symbol.dispose]());

const lose = (watch: ScriptedWatch): void => watch.end(new RpcError(Code.UNAVAILABLE, 'lost'));

async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await turn();
}

/** etcd brings some events of a key. */
const bring = (watch: ScriptedWatch, key: string, ...revisions: number[]): void =>
  watch.say(at.upstream.revision, {
    events: revisions.map((revision) => ({ kv: { key: b(key), modRevision: BigInt(revision) } })),
  });

/** A client that watches everything from an old revision on, of which etcd has brought the first event. */
async function old(): Promise<[ScriptedClient, ScriptedWatch]> {
  const client = at.client();
  client.watch({ ...ALL, startRevision: BigInt(OLD) });
  const watch = await at.created('k/', OLD);
  bring(watch, 'k/a', OLD);
  return [client, watch];
}

/** A client with a watch of one key, and its own watch on etcd. */
async function beside(start = 0): Promise<[ScriptedClient, ScriptedWatch]> {
  const client = at.client();
  client.watch({ key: b('k/a'), startRevision: BigInt(start) });
  const watch = await at.created('k/a', start);
  await until('the reply', () => client.responses.length === 1);
  return [client, watch];
}

describe('a watch of what comes next', () => {
  test('has a feed of its own, is told its events and progress at once, and moves when the old feed is there', async () => {
    const [first, behind] = await old();
    const [client, own] = await beside();
    const event = at.tell(own, 'k/a');
    assert.deepEqual(client.revisions, [event]);
    client.progress();
    await until('an answer', () => client.answers.length === 1);
    assert.deepEqual(client.answers, [event]);
    bring(behind, 'k/a', OLD + 1, NOW - 5000);
    assert.equal(own.cancelled, false);
    bring(behind, 'k/a', NOW - 5);
    assert.deepEqual([own.cancelled, at.hub.stats.feeds, at.hub.stats.watchers], [true, 1, 2]);
    bring(behind, 'k/a', event);
    const next = at.tell(behind, 'k/a');
    assert.deepEqual(client.revisions, [event, next]);
    assert.deepEqual(first.revisions, [OLD, OLD + 1, NOW - 5000, NOW - 5, event, next]);
  });

  test('moves also where the old feed is there before its own watch has begun', async () => {
    const [, behind] = await old();
    const client = at.client();
    client.watch({ key: b('k/a') });
    const own = await at.opened('k/a');
    bring(behind, 'k/a', NOW - 5);
    own.say(NOW, { created: true });
    await until('the reply', () => client.responses.length === 1);
    await settled();
    assert.deepEqual([own.cancelled, at.hub.stats.feeds], [true, 1]);
    const event = at.tell(behind, 'k/a');
    assert.deepEqual(client.revisions, [event]);
  });

  test('has one also where the old feed has not begun, and others of its range share it', async () => {
    at.client().watch({ ...ALL, startRevision: BigInt(OLD) });
    await at.opened('k/', OLD);
    await beside();
    const other = at.client();
    other.watch({ key: b('k/a') });
    await until('the reply', () => other.responses.length === 1);
    assert.equal(at.upstream.watches.length, 2);
  });

  test('has one where the old feed was given up since nobody reads, which stays so', async () => {
    at.upstream.revision = OLD;
    const slow = await at.watching('k/', { rangeEnd: b('k0') });
    const parked = await at.created('k/');
    at.tell(parked, 'k/a');
    slow.stop();
    for (let told = 0; !parked.cancelled; told++) {
      assert.ok(told < 100, 'it still reads');
      at.tell(parked, 'k/a', MIB);
    }
    // etcd has moved on by less than a round, but it is not known how much that is.
    at.upstream.revision++;
    const client = await at.watching('k/', { rangeEnd: b('k0') });
    const own = await at.created('k/');
    await until('the reply', () => client.responses.length === 1);
    const event = at.tell(own, 'k/a');
    assert.deepEqual(client.revisions, [event]);
    assert.equal(at.upstream.watches.length, 2);
    // It reads again, and the old feed comes back.
    slow.go();
    const again = await at.created('k/', parked.start);
    const back = await at.created('k/', 3);
    assert.ok(again.cancelled && own.stream === again.stream && back.start > 2);
    bring(back, 'k/a', event);
    assert.deepEqual([own.cancelled, at.hub.stats.feeds], [true, 1]);
    const next = at.tell(back, 'k/a');
    assert.deepEqual(
      [client.revisions, slow.revisions.slice(-2)],
      [
        [event, next],
        [event, next],
      ],
    );
  });

  test('is one from a revision that the old feed will not have soon, too', async () => {
    await old();
    const [client, own] = await beside(NOW - 1);
    bring(own, 'k/a', NOW);
    assert.deepEqual([own.start, client.revisions], [NOW - 1, [NOW]]);
  });

  test('misses nothing where the old feed ends, and its own stream is lost', async () => {
    const [first] = await old();
    const [client, own] = await beside();
    first.leave();
    lose(own);
    at.upstream.revision++;
    await at.created('k/a');
    const again = await at.created('k/a', NOW + 1);
    bring(again, 'k/a', NOW + 1);
    assert.deepEqual(client.revisions, [NOW + 1]);
    client.leave();
    assert.equal(at.hub.stats.feeds, 0);
  });
});

test('what is behind by less than etcd brings in one go serves everybody', async () => {
  const [, watch] = await old();
  bring(watch, 'k/a', NOW - 900);
  const client = at.client();
  client.watch({ key: b('k/a') });
  await until('the reply', () => client.responses.length === 1);
  await settled();
  assert.equal(at.upstream.watches.length, 1);
  const event = at.tell(watch, 'k/a');
  assert.deepEqual(client.revisions, [event]);
});

for (const start of [OLD + 1, NOW / 2])
  test(`a watch from revision ${start} rides with the old feed`, async () => {
    const [, watch] = await old();
    const client = at.client();
    client.watch({ key: b('k/a'), startRevision: BigInt(start) });
    await until('the reply', () => client.responses.length === 1);
    await settled();
    assert.equal(at.upstream.watches.length, 1);
    bring(watch, 'k/a', start);
    assert.deepEqual(client.revisions, [start]);
  });

test('a watch from a revision that only a catch-up will have shares it, however far that is', async () => {
  using few = new ScriptedHub({ historyRevisions: 6 });
  await few.watching('c');
  const main = await few.created('c');
  for (let i = 0; i < 3000; i++) few.tell(main, 'c');
  const clients = [few.client(), few.client()] as const;
  clients[0].watch({ key: b('c'), startRevision: 2n });
  const catchUp = await few.created('c', 2);
  clients[1].watch({ key: b('c'), startRevision: 2500n });
  await until('the reply', () => clients[1].responses.length === 1);
  await settled();
  assert.equal(few.upstream.watches.length, 2);
  catchUp.say(few.upstream.revision, { events: [{ kv: { key: b('c'), modRevision: 2500n } }] });
  assert.deepEqual(clients[1].revisions, [2500]);
});

test('a subscriber of what comes next has a feed of its own as well', async () => {
  const [, watch] = await old();
  const batches: number[] = [];
  const subscriber = { onBatch: (_: unknown, last: number) => void batches.push(last), onEnd() {} };
  const feeds = at.hub.feedsOf(TOKENLESS);
  const subscription = feeds.subscribe(new KeyRange('k/a', ''), false, NOW + 1, subscriber);
  const own = await at.created('k/a');
  const event = at.tell(own, 'k/a');
  assert.deepEqual(batches, [event]);
  // It stays where it is.
  bring(watch, 'k/a', NOW);
  assert.deepEqual([own.cancelled, at.hub.stats.feeds], [false, 2]);
  subscription?.feed.unsubscribe(subscription);
  assert.deepEqual([own.cancelled, at.hub.stats.feeds], [true, 1]);
});
