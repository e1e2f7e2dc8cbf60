/** What is huge by its bytes is worked off in slices as well, however few its events are; what is ordinary is told at once. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { WatchCreateRequest_FilterType } from '#gen/etcdserverpb/watch_pb.js';
import { readResponse } from '../../src/etcd/watch-response.ts';
import type { Batch } from '../../src/watch/batch.ts';
import { batchesInSlices, batchesOf } from '../../src/watch/batch-draft.ts';
import { Selection } from '../../src/watch/selection.ts';
import type { Steps } from '../../src/watch/slices.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import { read, response } from './responses.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { KIB, MIB, ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

/** Bytes that one turn copies at most, the last step of it included. */
const TURN = 20 * MIB;
/** The same of one step, with its last event and what was left of a step before. */
const STEP = 3 * MIB;

const ALL: Create = { key: b('h/'), rangeEnd: b('h0') };
const KINDS: readonly Create[] = [
  ALL,
  { ...ALL, filters: [WatchCreateRequest_FilterType.NODELETE], prevKv: true },
  { key: b('h/1'), rangeEnd: b('h/3') },
];

/** Counts the bytes that are copied between buffers, and the most of them in a turn. */
class Copied {
  bytes = 0;
  most = 0;
  #next: NodeJS.Immediate;
  readonly #original = Buffer.prototype.copy;

  constructor() {
    const original = this.#original;
    const count = (bytes: number): number => {
      this.bytes += bytes;
      return bytes;
    };
    Buffer.prototype.copy = function (this: Buffer, ...args: Parameters<Buffer['copy']>): number {
      return count(original.apply(this, args));
    };
    const again = (): void => {
      this.take();
      this.#next = setImmediate(again);
    };
    this.#next = setImmediate(again);
  }

  /** What was copied since the last time. */
  take(): number {
    const { bytes } = this;
    this.most = Math.max(this.most, bytes);
    this.bytes = 0;
    return bytes;
  }

  end(): void {
    clearImmediate(this.#next);
    Buffer.prototype.copy = this.#original;
    this.take();
  }
}

const has = (client: ScriptedClient, revision: number): boolean => client.revisions.includes(revision);

/** etcd tells of a transaction, each event with a previous value. */
function change(at: ScriptedHub, feed: ScriptedWatch, events: number, bytes: number): number {
  const revision = ++at.upstream.revision;
  const value = Buffer.alloc(bytes);
  const all = Array.from({ length: events }, (_, i) => {
    const kv = { key: b(`h/${(i * 7919) % events}`), modRevision: BigInt(revision), value };
    return { kv, prevKv: kv };
  });
  feed.say(revision, { events: all });
  return revision;
}

describe('a response', () => {
  let at: ScriptedHub;
  let copied: Copied;
  let feed: ScriptedWatch;
  beforeEach(async () => {
    at = new ScriptedHub({ historyBytes: 256 * MIB });
    await at.watching('h/', { rangeEnd: b('h0'), prevKv: true });
    feed = await at.created('h/');
    copied = new Copied();
  });
  afterEach(() => {
    copied.end();
    at[Symbol.dispose]();
  });

  async function join(startRevision = 0n): Promise<ScriptedClient[]> {
    const clients = KINDS.map((create) => {
      const client = at.client();
      client.watch({ ...create, startRevision });
      return client;
    });
    await until('the watches', () => clients.every(({ responses }) => responses.length > 0));
    return clients;
  }

  test('with few events of many bytes is copied in several turns, for whom it ever is', async () => {
    const synced = await join();
    const lagging = await join();
    for (const client of lagging) client.stop();
    at.tell(feed, 'h/1');
    const revision = change(at, feed, 400, 64 * KIB);
    const next = at.tell(feed, 'h/1');
    const late = await join(2n);
    for (const client of lagging) client.go();
    const all = [...synced, ...lagging, ...late];
    await until('all of it', () => all.every((client) => has(client, next)));
    for (const { revisions } of all) {
      assert.ok(revisions.includes(revision));
      assert.deepEqual(revisions, revisions.toSorted());
    }
    copied.take();
    assert.ok(copied.most > MIB && copied.most < TURN, `${copied.most} bytes in a turn`);
  });

  test('of which more follows has etcd wait, once nobody reads for whom it was made', async () => {
    at[Symbol.dispose]();
    at = new ScriptedHub({ historyBytes: 256 * MIB });
    at.upstream.version = '3.5.12'; // on a stream of its own
    const wide = await at.watching('p/', { rangeEnd: b('p0') });
    const own = await at.created('p/');
    const narrow = await at.watching('p/', { rangeEnd: b('p/2') });
    for (const client of [wide, narrow]) client.stop();
    for (let i = 0; i < 5; i++) at.tell(own, `p/${i}`, 16 * MIB, true);
    await until('what is whole', () => [wide, narrow].every(({ revisions }) => revisions.length > 0));
    await until('etcd to wait', () => own.stream.paused);
    for (const client of [wide, narrow]) client.go();
    await until('etcd to go on', () => !own.stream.paused);
    const last = at.tell(own, 'p/0');
    await until('the rest', () => has(wide, last) && has(narrow, last));
    assert.equal(own.cancelled, false);
  });

  test('that is ordinary is told at once', async () => {
    const clients = await join();
    const few = at.tell(feed, 'h/1', MIB);
    assert.ok(clients.every((client) => has(client, few)));
    const many = change(at, feed, 1000, 200);
    assert.ok(clients.every((client) => has(client, many)));
  });
});

describe('a step', () => {
  let copied: Copied;
  beforeEach(() => {
    copied = new Copied();
  });
  afterEach(() => copied.end());

  /** Takes all steps. @returns the result, and the bytes that each copied with the visits that it told */
  function steps<T>(of: Steps<T>): { readonly result: T; readonly each: readonly [number, number][] } {
    const each: [number, number][] = [];
    for (copied.take(); ; ) {
      const { done, value } = of.next();
      if (done) return { result: value, each };
      each.push([copied.take(), value]);
    }
  }

  const revisions = Array.from({ length: 300 }, (_, i) => i + 1);

  test('copies so many bytes at most, and tells of them', () => {
    for (const apart of [false, true]) {
      const [header, events] = read(Buffer.from(response(revisions, 50 * KIB)));
      // Without its first event it is not kept as it came.
      const made = steps(batchesInSlices({ header, events, applied: 1, apart }));
      const expected = batchesOf(header, events, 1, apart);
      assert.deepEqual(made.result.map(plain), expected.map(plain));
      for (const [bytes, visits] of made.each) {
        assert.ok(bytes < STEP, `${bytes} bytes`);
        assert.ok(visits >= Math.floor(bytes / 512), `${bytes} bytes, ${visits} visits`);
      }
    }
  });

  test('of a response in the making as well', () => {
    const [header, events] = read(Buffer.from(response(revisions, 50 * KIB)));
    const batch = batchesOf(header, events, 0)[0] as Batch;
    for (const stripPrev of [false, true])
      for (const every of [1, 2]) {
        const selection = new Selection(stripPrev);
        for (let i = 0; i < events.length; i += every) selection.add(batch, i);
        const { result, each } = steps(selection.encoding(batch.head));
        assert.ok(each.length > 5);
        for (const [bytes] of each) assert.ok(bytes < STEP, `${bytes} bytes`);
        assert.ok(result.equals(selection.encode(batch.head)));
        assert.equal(readResponse(result).events.length, events.length / every);
      }
  });

  const plain = ({ bytes, events, first, revision }: Batch) => ({ bytes, events, first, revision });
});
