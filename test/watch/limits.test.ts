/** What happens at each of the hub's limits (docs/watches.md), with an etcd and clients that do what the test says. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WatchCreateRequest_FilterType } from '#gen/etcdserverpb/watch_pb.js';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { WatchHubOptions } from '../../src/watch/hub.ts';
import { collectGarbage } from '../support/garbage.ts';
import { until } from '../support/until.ts';
import { b, span } from '../support/watch-client.ts';
import { ScriptedClient } from './scripted-client.ts';
import { KIB, MIB, ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

let at: ScriptedHub;

function start(limits: Partial<WatchHubOptions> = {}): void {
  at?.[Symbol.dispose]();
  at = new ScriptedHub(limits);
}

beforeEach(() => start());
afterEach(() => at[Symbol.dispose]());

describe('--watch-history-bytes', () => {
  test('all histories together stay within it, whether or not a client lags', async () => {
    start({ historyBytes: 200 * KIB });
    const clients = [await at.watching('a'), await at.watching('b')];
    const streams = [await at.created('a'), await at.created('b')];
    for (const lagging of [false, true]) {
      if (lagging) clients[0]?.stop();
      for (let i = 0; i < 1000; i++) {
        at.tell(streams[i % 2] as ScriptedWatch, i % 2 === 0 ? 'a' : 'b', KIB);
        assert.ok(at.hub.shared.budget.bytes <= 200 * KIB, `${at.hub.shared.budget.bytes}`);
      }
      assert.ok(at.hub.shared.budget.bytes > 100 * KIB);
    }
    assert.equal(at.hub.stats.lagging, 1);
    assert.equal(clients[1]?.keys.length, 1000);
    for (const client of clients) client.leave();
    assert.equal(at.hub.shared.budget.bytes, 0);
  });

  test('also what a catch-up keeps for a client that has stopped, beside one that reads', async () => {
    start({ historyBytes: 200 * KIB });
    const keeper = await at.watching('c');
    const main = await at.created('c');
    for (let i = 0; i < 400; i++) at.tell(main, 'c', KIB);
    const late = [at.client(), at.client()];
    for (const client of late) client.watch({ key: b('c'), startRevision: 2n });
    const catchUp = await at.created('c', 2);
    late[0]?.stop();
    // The main feed is always ahead, and remembers too little for anybody to move over to it.
    for (let revision = 2; revision < 1000; revision++) {
      at.tell(main, 'c', 180 * KIB);
      const kv = { key: b('c'), modRevision: BigInt(revision), value: Buffer.alloc(KIB) };
      catchUp.say(at.upstream.revision, { events: [{ kv }] });
      assert.ok(at.hub.shared.budget.bytes <= 200 * KIB, `${at.hub.shared.budget.bytes} at ${revision}`);
    }
    assert.deepEqual(late[1]?.revisions, span(2, 999));
    assert.deepEqual([late[0]?.revisions, keeper.revisions.length], [[2], 1398]);
    // It reads again: what was forgotten comes by a catch-up of its own.
    late[0]?.go();
    const again = await at.created('c', 3);
    const kv = { key: b('c'), modRevision: 3n };
    again.say(at.upstream.revision, { events: [{ kv }] });
    assert.deepEqual([again.start, late[0]?.revisions], [3, [2, 3]]);
  });
});

describe('what was delivered', () => {
  test('is kept by the history and by nobody else', async () => {
    start({ historyBytes: 100 * KIB });
    const bytes: WeakRef<Uint8Array>[] = [];
    class Witness extends ScriptedClient {
      override sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
        bytes.push(new WeakRef(tail));
        return super.sendJoined(head, tail);
      }
    }
    await at.watching('v/', { rangeEnd: b('v0') });
    const stream = await at.created('v/');
    for (const key of ['v/1', 'v/2']) {
      const client = new Witness(at.service);
      client.watch({ key: b(key), filters: key === 'v/2' ? [WatchCreateRequest_FilterType.NODELETE] : [] });
      await until('the reply to a create', () => client.responses.length === 1);
    }
    at.tell(stream, 'v/1', MIB);
    at.tell(stream, 'v/2', MIB);
    assert.equal(bytes.length, 2);
    await until('nobody holds the bytes', () => {
      collectGarbage();
      return bytes.every((ref) => ref.deref() === undefined);
    });
    assert.equal(at.upstream.watches.length, 1);
  });
});

describe('clients that read too slowly', () => {
  test('are brought up by 64 watches of their own at most; one more ends with UNAVAILABLE and may resume', async () => {
    start({ historyRevisions: 5 });
    const keeper = await at.watching('k/', { rangeEnd: b('k0') });
    const wide = await at.created('k/');
    const slow: ScriptedClient[] = [];
    for (let i = 0; i < 65; i++) slow.push(await at.watching(`k/${i}`));
    const told: number[][] = slow.map(() => []);
    for (const client of slow) client.stop();
    for (let round = 0; round < 3; round++)
      for (let i = 0; i < 65; i++) told[i]?.push(at.tell(wide, `k/${i}`));
    assert.equal(keeper.keys.length, 195);
    assert.equal(at.upstream.watches.length, 1);
    for (const client of slow.slice(0, 64)) client.go();
    assert.deepEqual([at.hub.stats.catchUps, at.hub.stats.evicted], [64, 0]);
    slow[64]?.go();
    assert.deepEqual([at.hub.stats.catchUps, at.hub.stats.evicted], [64, 1]);
    assert.deepEqual(
      [slow[64]?.ending?.code, slow[64]?.ending?.message],
      [Code.UNAVAILABLE, 'etcd-connect-proxy: the client reads its watches too slowly'],
    );
    assert.ok(slow.slice(0, 64).every(({ ending }) => ending === undefined));

    // It comes back at what it had last, and gets the rest.
    const had = slow[64]?.revisions ?? [];
    const again = at.client();
    again.watch({ key: b('k/64'), startRevision: BigInt((had.at(-1) ?? 1) + 1) });
    const catchUp = await at.created('k/64', 2);
    const rest = (told[64] ?? []).filter((revision) => !had.includes(revision));
    catchUp.say(at.upstream.revision, {
      events: rest.map((revision) => ({ kv: { key: b('k/64'), modRevision: BigInt(revision) } })),
    });
    await until('what was missed', () => again.revisions.length === rest.length);
    assert.deepEqual([...had, ...again.revisions], told[64]);
  });

  test('make their feed give its watch on etcd up with 8 MiB unread, until one of them has read half of it', async () => {
    const client = await at.watching('s');
    const stream = await at.created('s');
    client.stop();
    const revisions: number[] = [];
    for (let i = 0; i < 8; i++) revisions.push(at.tell(stream, 's', MIB));
    assert.equal(stream.cancelled, false);
    revisions.push(at.tell(stream, 's', MIB));
    assert.equal(stream.cancelled, true);
    at.upstream.revision += 5;
    await sleep(20); // nothing may happen
    assert.equal(at.upstream.watches.length, 1);
    client.go(5);
    await until('another watch', () => at.upstream.watches.length === 2);
    client.go();
    await at.created('s');
    const backlog = await at.created('s', revisions.length + 2);
    assert.equal(backlog.start, (revisions.at(-1) as number) + 1);
    revisions.push(at.tell(backlog, 's'));
    assert.deepEqual(client.revisions, revisions);
  });

  test('give nothing up while a watcher of their feed keeps up', async () => {
    const [client, other] = [await at.watching('s'), await at.watching('s')];
    const stream = await at.created('s');
    client.stop();
    const revisions = Array.from({ length: 20 }, () => at.tell(stream, 's', MIB));
    assert.equal(stream.cancelled, false);
    assert.deepEqual(other.revisions, revisions);
    client.go();
    assert.deepEqual(client.revisions, revisions);
  });

  test('make a catch-up give its watch up with 1 MiB unread', async () => {
    start({ historyRevisions: 6 });
    await at.watching('c');
    const main = await at.created('c');
    for (let i = 0; i < 9; i++) at.tell(main, 'c'); // those before revision 5 are forgotten
    const late = at.client();
    late.watch({ key: b('c'), startRevision: 2n });
    const catchUp = await at.created('c', 2);
    late.stop();
    for (let revision = 2; revision <= 4; revision++) {
      assert.equal(catchUp.cancelled, false);
      const kv = { key: b('c'), modRevision: BigInt(revision), value: Buffer.alloc(MIB / 2) };
      catchUp.say(at.upstream.revision, { events: [{ kv }] });
    }
    assert.equal(catchUp.cancelled, true);
    late.go();
    await until('another watch', () => at.upstream.watches.length > 2);
    assert.deepEqual(late.revisions, span(2, 4));
  });

  test('have the feed come back for a new watcher that needs nothing before it goes on', async () => {
    const client = await at.watching('s');
    const stream = await at.created('s');
    client.stop();
    for (let i = 0; i < 9; i++) at.tell(stream, 's', MIB);
    const fresh = at.client();
    fresh.watch({ key: b('s'), startRevision: BigInt(at.upstream.revision + 1) });
    await until('the reply', () => fresh.responses.length === 1);
    at.upstream.revision += 5;
    await until('another watch', () => at.upstream.watches.length === 2);
    await at.created('s');
    const backlog = await at.created('s', 2);
    for (const revision of [12, 16])
      backlog.say(16, { events: [{ kv: { key: b('s'), modRevision: BigInt(revision) } }] });
    assert.deepEqual(fresh.revisions, [12, 16]);
  });
});

describe('a stream that fails again and again', () => {
  test('is given up after six times for no reason that passes, and clients are told which', {
    timeout: 60_000,
  }, async (context) => {
    // One that lived for some seconds would be the first of a row: no time passes, and the test waits without a limit.
    const now = performance.now();
    context.mock.method(performance, 'now', () => now);
    const client = await at.watching('u');
    for (let i = 1; i <= 6; i++) {
      await until('another stream', () => at.upstream.watches.length === i);
      (await at.created('u')).end(new RpcError(Code.UNKNOWN, 'nobody knows'));
    }
    assert.deepEqual([client.ending?.code, client.ending?.message], [Code.UNKNOWN, 'nobody knows']);
  });

  test('is opened for as long as it takes where etcd cannot be reached', async () => {
    const client = await at.watching('u');
    for (let i = 1; i <= 8; i++) {
      await until('another stream', () => at.upstream.watches.length === i);
      at.upstream.watches.at(-1)?.end(new RpcError(Code.UNAVAILABLE, 'no connection'));
    }
    assert.equal(client.ending, undefined);
  });
});

describe('what waits', () => {
  test('is 32 requests of a stream; then the client is not read until half of them are answered', async () => {
    at.upstream.creates = true;
    const client = at.client();
    for (let i = 0; i < 32; i++) client.watch({ key: b(`w${i}`) });
    assert.equal(client.paused, false);
    client.watch({ key: b('w32') });
    assert.equal(client.paused, true);
    await until('replies', () => client.responses.length === 33);
    assert.equal(client.paused, false);
    client.leave();
  });

  test('is 64 MiB of a response that comes in parts; then the revisions that are whole go on, as they are', async () => {
    at.upstream.version = '3.5.12'; // on streams that watches share there are no fragments
    const client = await at.watching('f/', { rangeEnd: b('f0') });
    const stream = await at.created('f/');
    for (let i = 0; i < 4; i++) at.tell(stream, `f/${i}`, 16 * MIB - KIB, true);
    assert.deepEqual(client.revisions, []);
    at.tell(stream, 'f/4', MIB, true);
    assert.equal(at.hub.stats.limits.response_bytes, 1);
    await until('the revisions that are whole', () => client.revisions.length > 0);
    assert.deepEqual(client.revisions, span(2, 5));
    at.tell(stream, 'f/5', 1);
    assert.deepEqual(client.revisions, span(2, 7));
    assert.equal(at.hub.shared.assembly.bytes, 0);
    client.leave();
  });

  test('is not more of a long response than a client reads: etcd waits with the rest and is not asked again', async () => {
    at.upstream.version = '3.5.12'; // on a stream of its own
    const client = await at.watching('p/', { rangeEnd: b('p0') });
    const stream = await at.created('p/');
    const streams = at.upstream.streams.length;
    client.stop();
    for (let i = 0; i < 5; i++) at.tell(stream, `p/${i}`, 16 * MIB, true);
    await until('etcd to wait', () => stream.stream.paused);
    await until('what is whole', () => client.revisions.length > 0);
    assert.deepEqual([client.revisions, at.hub.stats.lagging], [span(2, 4), 1]);
    client.go();
    assert.deepEqual([stream.stream.paused, stream.cancelled], [false, false]);
    at.tell(stream, 'p/5');
    await until('the rest', () => client.revisions.length === 6);
    assert.deepEqual(client.revisions, span(2, 7));
    // Where it is lost meanwhile, another one is opened for who reads, and not before.
    client.stop();
    for (let i = 0; i < 5; i++) at.tell(stream, `p/${i}`, 16 * MIB, true);
    await until('etcd to wait again', () => stream.stream.paused);
    stream.end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
    assert.equal(at.upstream.streams.length, streams);
    client.go();
    await until('another stream', () => at.upstream.streams.length === streams + 1);
    client.leave();
  });

  test('is one response of any size, unless it is too large as a whole: then it is asked for in fragments', async () => {
    const client = await at.watching('g');
    const stream = await at.created('g');
    at.tell(stream, 'g');
    assert.equal(stream.fragment, false);
    const tooLarge = 'trying to send message larger than max (2147483700 vs. 2147483647)';
    stream.end(new RpcError(Code.RESOURCE_EXHAUSTED, tooLarge));
    const second = await at.created('g');
    assert.deepEqual([second.fragment, at.hub.stats.limits.fragments], [true, 1]);
    at.tell(second, 'g', 1, true);
    at.tell(second, 'g');
    assert.deepEqual(client.revisions, span(2, 4));
    // What comes next is asked for as usual, and what is too large in fragments as well ends the watch.
    second.end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
    const third = await at.created('g');
    assert.equal(third.fragment, false);
    third.end(new RpcError(Code.RESOURCE_EXHAUSTED, tooLarge));
    (await at.created('g')).end(new RpcError(Code.RESOURCE_EXHAUSTED, tooLarge));
    assert.deepEqual([client.ending?.code, client.ending?.message], [Code.RESOURCE_EXHAUSTED, tooLarge]);
  });
});

describe('feeds', () => {
  test('that nobody uses wait for somebody, 1 000 of them; the one that waits for longest goes first', async () => {
    start({ linger: 3_600_000 });
    for (let i = 0; i < 1001; i++) {
      const client = await at.watching(`l${i}`);
      await at.created(`l${i}`);
      client.leave();
    }
    assert.deepEqual(
      at.upstream.watches.slice(0, 3).map(({ cancelled }) => cancelled),
      [true, false, false],
    );
    assert.equal(at.hub.stats.feeds, 1000);
    const back = await at.watching('l1');
    assert.equal(at.upstream.watches.length, 1001);
    back.leave();
  });

  test('that are closed after --watch-linger are new ones afterwards, before that the same', async () => {
    const left = async (linger: number): Promise<ScriptedWatch> => {
      start({ linger });
      const client = await at.watching('t');
      const stream = await at.created('t');
      client.leave();
      return stream;
    };
    const kept = await left(3_600_000);
    const again = await at.watching('t');
    const revision = at.tell(kept, 't');
    assert.deepEqual(again.revisions, [revision]);
    assert.deepEqual([at.upstream.watches.length, kept.cancelled], [1, false]);
    const closed = await left(30);
    await until('the end of the feed', () => closed.cancelled);
    await at.watching('t');
    assert.notEqual(await at.created('t'), closed);
  });

  const digits = (i: number): string => String(i).padStart(3, '0');

  test('are found by a range that one of them contains, however many others there are', async () => {
    at.upstream.creates = true;
    for (let i = 0; i < 300; i++) await at.watching(`r${digits(i)}/`, { rangeEnd: b(`r${digits(i)}0`) });
    await until('the feeds', () => at.upstream.watches.length === 300);
    for (const i of [0, 150, 299]) await at.watching(`r${digits(i)}/x`);
    await sleep(20); // nothing may happen
    assert.equal(at.upstream.watches.length, 300);
  });

  test('are looked at up to 256 of those that contain a range; behind them a watcher gets its own', async () => {
    at.upstream.creates = true;
    // Each begins before those that are there, so that none of them contains it.
    for (let i = 256; i >= 0; i--) await at.watching(`n${digits(i)}`, { rangeEnd: b('o') });
    await at.watching('n300', { rangeEnd: b('o'), prevKv: true });
    await at.watching('n4');
    await until('the feeds', () => at.upstream.watches.length === 258);
    at.upstream.creates = false;
    const client = await at.watching('n4', { prevKv: true });
    const stream = await at.created('n4');
    const revision = at.tell(stream, 'n4');
    assert.deepEqual([client.revisions, at.upstream.watches.length], [[revision], 259]);
  });
});
