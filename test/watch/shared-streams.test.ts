/** Streams to etcd that watches share, with an etcd that says what the test has it say. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { Feed } from '../../src/watch/feed.ts';
import { CreateLine } from '../../src/watch/rides/create-line.ts';
import { Seat, type SeatOwner } from '../../src/watch/rides/seat.ts';
import { SharedStream } from '../../src/watch/rides/shared-stream.ts';
import type { SharedStreamOwner } from '../../src/watch/rides/shared-stream-owner.ts';
import { until } from '../support/until.ts';
import { b, span } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

let at: ScriptedHub;

beforeEach(() => {
  at = new ScriptedHub();
});
afterEach(() => at[Symbol.dispose]());

/** The feed of a key. */
function feed(key: string): Feed {
  for (const each of at.hub.feeds()) if (each.range.start === key) return each;
  throw new Error(`no feed of ${key}`);
}

const events = (key: string, revisions: readonly number[]) =>
  revisions.map((revision) => ({ kv: { key: b(key), modRevision: BigInt(revision) } }));

/** Watches of keys, each by a client of its own, which etcd has created. */
async function watched(...keys: string[]): Promise<[ScriptedClient[], ScriptedWatch[]]> {
  const clients: ScriptedClient[] = [];
  const watches: ScriptedWatch[] = [];
  for (const key of keys) {
    clients.push(await at.watching(key));
    watches.push(await at.created(key));
  }
  return [clients, watches];
}

/** Watches of keys from revision 2 on, which etcd has not created. */
async function pasts(...keys: string[]): Promise<[ScriptedClient[], ScriptedWatch[]]> {
  at.upstream.revision = Math.max(at.upstream.revision, 10);
  const clients = keys.map((key) => {
    const client = at.client();
    client.watch({ key: b(key), startRevision: 2n });
    return client;
  });
  const watches: ScriptedWatch[] = [];
  for (const key of keys) watches.push(await at.opened(key, 2));
  return [clients, watches];
}

/** One of them. */
async function past(key: string): Promise<[ScriptedClient, ScriptedWatch]> {
  const [[client], [watch]] = await pasts(key);
  return [client as ScriptedClient, watch as ScriptedWatch];
}

/** Waits until etcd is asked on the stream of a watch, and answers. */
async function answer({ stream }: ScriptedWatch, revision: number): Promise<void> {
  const before = stream.questions;
  await until('a question', () => stream.questions > before);
  stream.answer(revision);
}

describe('the numbers of watches', () => {
  test('are one after the other on a stream, and none is used again', async () => {
    const [[first], [a, second]] = await watched('a', 'b');
    first?.leave();
    assert.equal(a?.cancelled, true);
    const [[again], [c]] = await watched('a');
    assert.deepEqual([a?.id, second?.id, c?.id], [1n, 2n, 3n]);
    a?.say(5, { events: events('a', [5]) });
    assert.deepEqual(again?.revisions, []);
    assert.equal(at.upstream.streams.length, 1);
  });

  test('of watches that a compaction ends are given up as well', async () => {
    const [, [a, c]] = (await pasts('a', 'c')) as [unknown, [ScriptedWatch, ScriptedWatch]];
    assert.equal(a.stream, c.stream);
    for (const watch of [a, c]) watch.say(at.upstream.revision, { created: true });
    a.say(0, { canceled: true, compactRevision: 5n });
    assert.deepEqual([a.cancelled, c.cancelled], [true, false]);
  });

  test('are not in refusals, which are told by their order', async () => {
    const [[, other]] = await watched('x', 'y');
    const [refused, kept] = [await at.watching('a'), await at.watching('b')];
    const [a, second] = [await at.opened('a'), await at.opened('b')];
    const refusal = { created: true, canceled: true, watchId: -1n, cancelReason: 'no' };
    a.say(1, refusal);
    second.say(1, { created: true });
    // The client is told of its watch then, and of its end with the next refusal.
    (await at.opened('a')).say(1, refusal);
    second.say(2, { events: events('b', [2]) });
    assert.deepEqual([refused.ending?.code, kept.ending, kept.revisions], [Code.UNAVAILABLE, undefined, [2]]);
    assert.equal(other?.ending, undefined);
  });
});

describe('an answer about a stream', () => {
  test('counts for the watches that were created before, and for no other', async () => {
    const [[client], [a]] = await watched('a');
    await at.watching('b');
    const other = await at.opened('b');
    at.upstream.revision = 9;
    client?.progress();
    await answer(a as ScriptedWatch, 9);
    a?.say(9, {});
    await answer(a as ScriptedWatch, 9);
    assert.equal(feed('a').applied, 9);
    assert.ok(feed('b').applied < 2);
    other.say(1, { created: true });
    other.say(5, { events: events('b', [5]) });
    assert.deepEqual([feed('b').state, feed('b').applied], ['live', 5]);
  });

  test('is not asked for on a stream of the past before etcd has all of its watches', async () => {
    const [, [a, c]] = (await pasts('a', 'c')) as [unknown, [ScriptedWatch, ScriptedWatch]];
    a.say(10, { created: true });
    await sleep(100); // nothing may happen
    assert.equal(a.stream.questions, 0);
    c.say(10, { created: true });
    await until('a question', () => a.stream.questions > 0);
  });

  test('is for nobody whose watch came later', async () => {
    const [[client], [a]] = await watched('a');
    at.upstream.revision = 4;
    client?.progress();
    await until('a question', () => (a?.stream.questions ?? 0) > 0);
    await at.watching('b');
    const later = await at.created('b');
    feed('b').askProgress();
    a?.stream.answer(3);
    assert.equal(feed('b').header.revision, 4);
    await answer(later, 4);
  });

  test('is what a watch goes on from when the stream is lost, also one that never asked', async () => {
    const [[client, other], [a]] = await watched('a', 'b');
    at.upstream.revision = 9;
    client?.progress();
    await answer(a as ScriptedWatch, 9);
    assert.ok(feed('b').applied < 9);
    a?.end(new RpcError(Code.UNAVAILABLE, 'gone'));
    for (const key of ['a', 'b']) await at.opened(key);
    for (const watch of at.upstream.watches.slice(2)) watch.say(9, { created: true }); // in their order
    assert.deepEqual([feed('b').applied, feed('b').state], [9, 'live']);
    assert.equal(at.upstream.watches.length, 4);
    assert.equal(other?.ending, undefined);
  });

  test('is asked for once where many want it, and when etcd notifies of progress, for all', async () => {
    const keys = span(1, 50).map((i) => `k${i}`);
    const [clients, watches] = await watched(...keys);
    const [first] = watches as [ScriptedWatch];
    at.upstream.revision = 7;
    for (const client of clients) client.progress();
    await answer(first, 7);
    await until('answers', () => clients.every(({ answers }) => answers.length === 1));
    // On a busy machine the answer takes so long that one question becomes a few.
    assert.ok(first.stream.questions < keys.length / 4, `${first.stream.questions} questions`);
    for (const watch of watches.slice(0, 10)) watch.say(8, {});
    await answer(first, 8);
    assert.deepEqual(new Set(keys.map((key) => feed(key).applied)), new Set([8]));
  });
});

describe('a watch of the past', () => {
  test('moves when it has caught up; what the new watch brings waits until the old one has come as far', async () => {
    at.upstream.revision = 10;
    const [client, old] = await past('m');
    old.say(10, { created: true });
    old.say(10, { events: events('m', [3, 10]) });
    await answer(old, 10);
    const live = await at.opened('m');
    assert.deepEqual([live.start, live.stream === old.stream], [0, false]);
    live.say(12, { created: true });
    live.say(13, { events: events('m', [13]) });
    old.say(11, { events: events('m', [11]) });
    assert.deepEqual(client.revisions, [3, 10, 11]);
    await answer(old, 11);
    assert.equal(old.cancelled, false);
    old.say(12, { events: events('m', [12]) });
    await answer(old, 12);
    assert.equal(old.cancelled, true);
    live.say(14, { events: events('m', [14]) });
    assert.deepEqual(client.revisions, [3, 10, 11, 12, 13, 14]);
    assert.deepEqual([at.hub.stats.moves, at.hub.stats.streams, at.hub.shared.held.bytes], [1, 1, 0]);
  });

  test('is at no earlier revision after it has moved, whatever was still on its way there', async () => {
    const [client, old] = await past('m');
    old.say(10, { created: true });
    await answer(old, 10);
    const live = await at.opened('m');
    live.say(11, { created: true });
    live.say(12, { events: events('m', [12]) });
    old.say(12, { events: events('m', [12]) });
    await answer(old, 14);
    assert.deepEqual([old.cancelled, feed('m').announced], [true, 14]);
    live.say(13, {});
    await answer(live, 13);
    assert.equal(feed('m').announced, 14);
    live.say(13, { events: events('m', [13]) }); // etcd would have told it before 14
    assert.deepEqual([client.revisions, at.hub.stats.repeated], [[12], 0]);
  });

  test('stays where it is when the new watch is refused, or brings more than may be held back', async () => {
    at.upstream.revision = 10;
    for (const refused of [true, false]) {
      const key = `m${refused}`;
      const [client, old] = await past(key);
      old.say(10, { created: true });
      await answer(old, 10);
      const live = await at.opened(key);
      if (refused) live.say(10, { created: true, canceled: true, watchId: -1n, cancelReason: 'expired' });
      else {
        live.say(10, { created: true });
        const kv = { key: b(key), modRevision: 11n, value: Buffer.alloc(17 << 20) };
        live.say(11, { events: [{ kv }] });
        assert.equal(live.cancelled, true);
      }
      old.say(11, { events: events(key, [11]) });
      assert.deepEqual([client.revisions, client.ending, old.cancelled], [[11], undefined, false]);
    }
    assert.deepEqual([at.hub.stats.limits.moves, at.hub.shared.held.bytes], [1, 0]);
  });

  test('of which nobody wants more while it moves leaves nothing behind', async () => {
    const [client, old] = await past('m');
    old.say(10, { created: true });
    await answer(old, 10);
    const live = await at.opened('m');
    client.leave();
    assert.deepEqual([old.cancelled, live.cancelled, at.hub.stats.streams], [true, true, 0]);
  });

  test('parts from one that has much to catch up with', async () => {
    at.upstream.revision = 100;
    const [[client], [quiet, busy]] = (await pasts('q', 'z')) as [
      ScriptedClient[],
      [ScriptedWatch, ScriptedWatch],
    ];
    for (const watch of [quiet, busy]) watch.say(100, { created: true });
    // Who is busy is told by what comes while a question is not answered.
    await until('a question', () => quiet.stream.questions > 0);
    busy.say(100, { events: events('z', [2]) });
    await until('two streams', () => at.upstream.streams.length === 2);
    const moved = at.upstream.watches.at(-1) as ScriptedWatch;
    assert.ok(moved.stream !== quiet.stream && moved.start === (moved.key === 'z' ? 3 : 2));
    moved.say(100, { created: true });
    await until('the old watch is given up', () => [quiet, busy].some(({ cancelled }) => cancelled));
    for (const watch of [quiet, moved].filter(({ key, cancelled }) => key === 'q' && !cancelled))
      await answer(watch, 100);
    assert.equal((await at.opened('q')).start, 0);
    assert.equal(client?.ending, undefined);
  });
});

describe('a stream that fails by one of its watches', () => {
  test('has them come back with fewer others, then alone, and only that one ends', async () => {
    const keys = span(1, 40).map((i) => `k${i}`);
    const [clients] = await watched(...keys);
    const tooLarge = new RpcError(Code.RESOURCE_EXHAUSTED, 'too large');
    const again = async (count: number): Promise<ScriptedWatch[]> => {
      const before = at.upstream.watches.length;
      at.upstream.watches.at(-1)?.end(tooLarge);
      await until('all are back', () => at.upstream.watches.length >= before + count);
      await sleep(20); // nothing more may happen
      return at.upstream.watches.slice(before);
    };
    const few = await again(40);
    assert.deepEqual([few.length, new Set(few.map(({ stream }) => stream)).size], [40, 2]);
    const together = few.filter(({ stream }) => stream === few.at(-1)?.stream).length;
    const alone = await again(together);
    assert.deepEqual([alone.length, new Set(alone.map(({ stream }) => stream)).size], [together, together]);
    alone[0]?.end(tooLarge);
    assert.deepEqual(
      clients.map(({ ending }) => ending?.code).filter((code) => code !== undefined),
      [Code.RESOURCE_EXHAUSTED],
    );
  });
});

describe('where streams are not shared', () => {
  test('is a release whose watches lose events by that', async () => {
    at.upstream.version = '3.5.12';
    await watched('a', 'b');
    assert.equal(at.upstream.streams.length, 2);
    assert.equal(at.hub.stats.streams, 2);
  });

  test('is known before the first watch is asked for', async () => {
    for (let i = 0; i < 3; i++) at.upstream.statusFailures.push(new RpcError(Code.UNAVAILABLE, 'away'));
    const open = at.upstream.stream.bind(at.upstream);
    const callsBefore: number[] = [];
    at.upstream.stream = (call, listener) => {
      callsBefore.push(at.upstream.statusCalls);
      return open(call, listener);
    };
    at.client().watch({ key: b('a') });
    await at.created('a');
    assert.deepEqual([callsBefore[0], at.upstream.statusCalls], [4, 4]);
  });

  test('is assumed where Status is refused', async () => {
    at.upstream.statusFailures.push(new RpcError(Code.PERMISSION_DENIED, 'no'));
    await watched('a', 'b');
    assert.equal(at.upstream.streams.length, 2);
  });

  test('is found out when the stream begins on another member', async () => {
    await watched('a');
    at.upstream.member = 2n;
    at.upstream.version = '3.5.12';
    at.upstream.watches[0]?.end(new RpcError(Code.UNAVAILABLE, 'moved'));
    at.upstream.member = 1n;
    at.upstream.version = '3.7.3';
    const [clients] = [[await at.watching('b')]];
    const shared = [await at.opened('a'), await at.opened('b')];
    assert.equal(shared[0]?.stream, shared[1]?.stream);
    at.upstream.member = 2n;
    at.upstream.version = '3.5.12';
    for (const watch of shared.toSorted((x, y) => Number(x.id - y.id))) watch.say(1, { created: true });
    const alone = [await at.opened('a'), await at.opened('b')];
    assert.notEqual(alone[0]?.stream, alone[1]?.stream);
    assert.equal(clients[0]?.ending, undefined);
  });
});

test('of a stream 128 creates are under way, and what is new takes turns with what comes back', () => {
  const sent: Seat[] = [];
  const line = new CreateLine((seat) => sent.push(seat));
  const watch = { range: new KeyRange('k', ''), start: 0, prevKv: false, fragment: false };
  const seats = span(1, 1001).map((id) => new Seat({} as never, id, watch, {} as never));
  for (const seat of seats.slice(0, 1000)) line.add(seat, false);
  line.add(seats[1000] as Seat, true);
  (seats[128] as Seat).left = true;
  assert.deepEqual([sent.length, line.length], [128, 1001]);
  for (let i = 0; i < 3; i++) assert.equal(line.onAnswer(), seats[i]);
  assert.ok(sent.includes(seats[1000] as Seat));
  assert.ok(!sent.includes(seats[128] as Seat));
  while (line.onAnswer() !== undefined);
  assert.deepEqual([sent.length, line.length], [1000, 0]);
});

test('watches that are given up before their turn leave nothing in the line of a stream, though etcd answers nothing', () => {
  let sent = 0;
  const client = { send: () => ++sent > 0, cancel: () => {} };
  const owner = { assembly: {}, open: () => client, onLeft: () => {}, onGone: () => {} };
  const stream = new SharedStream(owner as unknown as SharedStreamOwner<SharedStream>, 10_000, 60_000);
  const watch = { range: new KeyRange('k', ''), start: 0, prevKv: false, fragment: false };
  const stays = stream.take(watch, {} as SeatOwner, true);
  for (let i = 0; i < 5000; i++) stream.leave(stream.take(watch, {} as SeatOwner, i % 2 === 0));
  assert.deepEqual([[...stream.seats], stream.line.length], [[stays], 128]);
  assert.equal(sent, 128 + 127, 'creates, and those of them that are cancelled');
  stream.close();
});
