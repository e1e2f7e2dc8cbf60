/** What happens at each of the hub's limits (docs/watches.md), with an etcd and clients that do what the test says. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { fromBinary } from '@bufbuild/protobuf';
import { WatchCreateRequest_FilterType, WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { SeenRevision } from '../../src/coalesce/seen-revision.ts';
import { WatchHub, type WatchHubOptions } from '../../src/coalesce/watch/hub.ts';
import type { StreamHandler } from '../../src/rpc/contract.ts';
import { Code } from '../../src/rpc/status.ts';
import { WATCH_METHODS, watchService } from '../../src/services/watch.ts';
import { b, span } from '../support/watch-client.ts';
import { ScriptedClient } from './scripted-client.ts';
import { type ScriptedStream, ScriptedUpstream } from './scripted-upstream.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const KIB = 1 << 10;
const MIB = 1 << 20;

let upstream: ScriptedUpstream;
let hub: WatchHub;
let service: StreamHandler;

function start(limits: Partial<WatchHubOptions> = {}): void {
  upstream = new ScriptedUpstream();
  const usual = { historyBytes: 64 * MIB, historyRevisions: 100_000, linger: 0 };
  hub = new WatchHub({ upstream, methods: WATCH_METHODS, ...usual, ...limits });
  service = watchService(hub, upstream, new SeenRevision());
}

beforeEach(() => start());
afterEach(() => hub.close());

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; !holds(); await sleep(2))
    if (performance.now() > end) assert.fail(`waited in vain: ${what}`);
}

/** What a stream to etcd asks for. */
function asked(stream: ScriptedStream): { readonly key: string; readonly start: number } {
  const { requestUnion } = fromBinary(WatchRequestSchema, stream.sent[0] as Uint8Array);
  if (requestUnion.case !== 'createRequest') throw new Error('no create request');
  const { key, startRevision } = requestUnion.value;
  return { key: Buffer.from(key).toString(), start: Number(startRevision) };
}

/** The latest stream to etcd that watches a key, once there is one; etcd has created it. */
async function created(key: string, from = 0): Promise<ScriptedStream> {
  const find = (): ScriptedStream | undefined =>
    upstream.streams.findLast((stream) => asked(stream).key === key && asked(stream).start >= from);
  await until(() => find() !== undefined, `a watch of ${key} on etcd`);
  const stream = find() as ScriptedStream;
  stream.say(upstream.revision, { created: true });
  return stream;
}

/** A client with a watch, which has been told that it exists. */
async function watching(key: string, rangeEnd = ''): Promise<ScriptedClient> {
  const client = new ScriptedClient(service);
  client.watch({ key: b(key), rangeEnd: b(rangeEnd) });
  await until(() => client.responses.length === 1, 'the reply to a create');
  return client;
}

/** etcd tells of a put, at the next revision. */
function tell(stream: ScriptedStream, key: string, bytes = 1, fragment = false): number {
  const modRevision = BigInt(++upstream.revision);
  stream.say(upstream.revision, {
    fragment,
    events: [{ kv: { key: b(key), modRevision, value: Buffer.alloc(bytes) } }],
  });
  return upstream.revision;
}

describe('--watch-history-bytes', () => {
  test('all histories together stay within it, whether or not a client lags', async () => {
    start({ historyBytes: 200 * KIB });
    const clients = [await watching('a'), await watching('b')];
    const streams = [await created('a'), await created('b')];
    for (const lagging of [false, true]) {
      if (lagging) clients[0]?.stop();
      for (let i = 0; i < 1000; i++) {
        tell(streams[i % 2] as ScriptedStream, i % 2 === 0 ? 'a' : 'b', KIB);
        assert.ok(hub.budget.bytes <= 200 * KIB, `${hub.budget.bytes}`);
      }
      assert.ok(hub.budget.bytes > 100 * KIB);
    }
    assert.equal(hub.stats.lagging, 1);
    assert.equal(clients[1]?.keys.length, 1000);
    for (const client of clients) client.leave();
    assert.equal(hub.budget.bytes, 0);
  });

  test('also what a catch-up keeps for a client that has stopped, beside one that reads', async () => {
    start({ historyBytes: 200 * KIB });
    const keeper = await watching('c');
    const main = await created('c');
    for (let i = 0; i < 400; i++) tell(main, 'c', KIB);
    const late = [new ScriptedClient(service), new ScriptedClient(service)];
    for (const client of late) client.watch({ key: b('c'), startRevision: 2n });
    const catchUp = await created('c', 2);
    late[0]?.stop();
    // The main feed is always ahead, and remembers too little for anybody to move over to it.
    for (let revision = 2; revision < 1000; revision++) {
      tell(main, 'c', 180 * KIB);
      const kv = { key: b('c'), modRevision: BigInt(revision), value: Buffer.alloc(KIB) };
      catchUp.say(upstream.revision, { events: [{ kv }] });
      assert.ok(hub.budget.bytes <= 200 * KIB, `${hub.budget.bytes} at ${revision}`);
    }
    assert.deepEqual(late[1]?.revisions, span(2, 999));
    assert.deepEqual([late[0]?.revisions, keeper.revisions.length], [[2], 1398]);
    // It reads again: what was forgotten comes by a catch-up of its own.
    late[0]?.go();
    const again = await created('c', 3);
    const kv = { key: b('c'), modRevision: 3n };
    again.say(upstream.revision, { events: [{ kv }] });
    assert.deepEqual([asked(again).start, late[0]?.revisions], [3, [2, 3]]);
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
    await watching('v/', 'v0');
    const stream = await created('v/');
    for (const key of ['v/1', 'v/2']) {
      const client = new Witness(service);
      client.watch({ key: b(key), filters: key === 'v/2' ? [WatchCreateRequest_FilterType.NODELETE] : [] });
      await until(() => client.responses.length === 1, 'the reply to a create');
    }
    tell(stream, 'v/1', MIB);
    tell(stream, 'v/2', MIB);
    assert.equal(bytes.length, 2);
    for (let i = 0; i < 100 && bytes.some((ref) => ref.deref() !== undefined); i++) {
      await sleep(5);
      collectGarbage();
    }
    assert.deepEqual(
      bytes.map((ref) => ref.deref()?.length),
      [undefined, undefined],
    );
    assert.equal(upstream.streams.length, 1);
  });
});

describe('clients that read too slowly', () => {
  test('are brought up by 64 watches of their own at most; one more ends with UNAVAILABLE and may resume', async () => {
    start({ historyRevisions: 5 });
    const keeper = await watching('k/', 'k0');
    const wide = await created('k/');
    const slow: ScriptedClient[] = [];
    for (let i = 0; i < 65; i++) slow.push(await watching(`k/${i}`));
    const told: number[][] = slow.map(() => []);
    for (const client of slow) client.stop();
    for (let round = 0; round < 3; round++) for (let i = 0; i < 65; i++) told[i]?.push(tell(wide, `k/${i}`));
    assert.equal(keeper.keys.length, 195);
    assert.equal(upstream.streams.length, 1);
    for (const client of slow.slice(0, 64)) client.go();
    assert.deepEqual([hub.stats.catchUps, hub.stats.evicted], [64, 0]);
    slow[64]?.go();
    assert.deepEqual([hub.stats.catchUps, hub.stats.evicted], [64, 1]);
    assert.deepEqual(
      [slow[64]?.ending?.code, slow[64]?.ending?.message],
      [Code.UNAVAILABLE, 'etcd-connect-proxy: the client reads its watches too slowly'],
    );
    assert.ok(slow.slice(0, 64).every(({ ending }) => ending === undefined));

    // It comes back at what it had last, and gets the rest.
    const had = slow[64]?.revisions ?? [];
    const again = new ScriptedClient(service);
    again.watch({ key: b('k/64'), startRevision: BigInt((had.at(-1) ?? 1) + 1) });
    const catchUp = await created('k/64', 2);
    const rest = (told[64] ?? []).filter((revision) => !had.includes(revision));
    catchUp.say(upstream.revision, {
      events: rest.map((revision) => ({ kv: { key: b('k/64'), modRevision: BigInt(revision) } })),
    });
    await until(() => again.revisions.length === rest.length, 'what was missed');
    assert.deepEqual([...had, ...again.revisions], told[64]);
  });

  test('stop their feed from reading etcd with 8 MiB unread, until one of them reads', async () => {
    const client = await watching('s');
    const stream = await created('s');
    client.stop();
    const revisions: number[] = [];
    for (let i = 0; i < 8; i++) revisions.push(tell(stream, 's', MIB));
    assert.equal(stream.paused, false);
    revisions.push(tell(stream, 's', MIB), tell(stream, 's', MIB));
    assert.equal(stream.paused, true);
    client.go();
    assert.equal(stream.paused, false);
    assert.deepEqual(client.revisions, revisions);
  });

  test('stop nobody whose feed has a watcher that keeps up', async () => {
    const [client, other] = [await watching('s'), await watching('s')];
    const stream = await created('s');
    client.stop();
    const revisions = Array.from({ length: 20 }, () => tell(stream, 's', MIB));
    assert.equal(stream.paused, false);
    assert.deepEqual(other.revisions, revisions);
    client.go();
    assert.deepEqual(client.revisions, revisions);
  });

  test('stop a catch-up with 1 MiB unread', async () => {
    start({ historyRevisions: 6 });
    await watching('c');
    const main = await created('c');
    for (let i = 0; i < 9; i++) tell(main, 'c'); // those before revision 5 are forgotten
    const late = new ScriptedClient(service);
    late.watch({ key: b('c'), startRevision: 2n });
    const catchUp = await created('c', 2);
    late.stop();
    for (let revision = 2; revision <= 4; revision++) {
      assert.equal(catchUp.paused, false);
      const kv = { key: b('c'), modRevision: BigInt(revision), value: Buffer.alloc(MIB / 2) };
      catchUp.say(upstream.revision, { events: [{ kv }] });
    }
    assert.equal(catchUp.paused, true);
    late.go();
    assert.equal(catchUp.paused, false);
    assert.deepEqual(late.revisions, span(2, 4));
  });
});

describe('what waits', () => {
  test('is 32 requests of a stream; then the client is not read until half of them are answered', async () => {
    const client = new ScriptedClient(service);
    for (let i = 0; i < 32; i++) client.watch({ key: b(`w${i}`) });
    assert.equal(client.paused, false);
    client.watch({ key: b('w32') });
    assert.equal(client.paused, true);
    await until(() => client.responses.length === 33, 'replies');
    assert.equal(client.paused, false);
    client.leave();
  });

  test('is 4 MiB of fragments; then the revisions that are whole go on', async () => {
    const client = await watching('f/', 'f0');
    const stream = await created('f/');
    for (let i = 0; i < 4; i++) tell(stream, `f/${i}`, MIB - KIB, true);
    assert.deepEqual(client.revisions, []);
    tell(stream, 'f/4', MIB, true);
    assert.deepEqual(client.revisions, span(2, 5));
    tell(stream, 'f/5', 1);
    assert.deepEqual(client.revisions, span(2, 7));
    client.leave();
  });
});

describe('feeds', () => {
  test('that nobody uses wait for somebody, 1 000 of them; the one that waits for longest goes first', async () => {
    start({ linger: 3_600_000 });
    for (let i = 0; i < 1001; i++) {
      const client = await watching(`l${i}`);
      await created(`l${i}`);
      client.leave();
    }
    assert.deepEqual(
      upstream.streams.slice(0, 3).map(({ cancelled }) => cancelled),
      [true, false, false],
    );
    assert.equal(hub.stats.feeds, 1000);
    const back = await watching('l1');
    assert.equal(upstream.streams.length, 1001);
    back.leave();
  });

  test('that are closed after --watch-linger are new ones afterwards, before that the same', async () => {
    start({ linger: 300 });
    (await watching('t')).leave();
    const first = await created('t');
    const again = await watching('t');
    const revision = tell(first, 't');
    assert.deepEqual(again.revisions, [revision]);
    again.leave();
    assert.equal(upstream.streams.length, 1);
    await until(() => first.cancelled, 'the end of the feed');
    await watching('t');
    assert.notEqual(await created('t'), first);
  });

  test('are searched for one that contains a range, 256 of them; behind those a watcher gets its own', async () => {
    const wide = (i: number): string => `r${String(i).padStart(3, '0')}`;
    for (let i = 0; i < 258; i++) {
      await watching(`${wide(i)}/`, `${wide(i)}0`);
      await created(`${wide(i)}/`);
    }
    await watching(`${wide(255)}/x`);
    await sleep(20);
    assert.equal(upstream.streams.length, 258);
    const client = await watching(`${wide(257)}/x`);
    const stream = await created(`${wide(257)}/x`);
    const revision = tell(stream, `${wide(257)}/x`);
    assert.deepEqual(client.revisions, [revision]);
  });
});
