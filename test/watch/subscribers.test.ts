/** What lives on a feed beside the watchers of clients, against every etcd at hand. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import type { Upstream } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import type { Batch } from '../../src/watch/batch.ts';
import { WatchHub } from '../../src/watch/hub.ts';
import type { IdentityFeeds } from '../../src/watch/identity-feeds.ts';
import type { FeedSubscriber, Subscription, SubscriptionEnd } from '../../src/watch/subscribers.ts';
import { bytes, clientOf, connect, type KvClient } from '../reads/clients.ts';
import { availableEtcds, type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';
import { CutRelay } from './cut-relay.ts';

/** Writes down what it hears of its range. */
class Recorder implements FeedSubscriber {
  readonly range: KeyRange;
  readonly from: number;
  readonly events: string[] = [];
  readonly ends: SubscriptionEnd[] = [];
  moves = 0;
  /** Events of other ranges that it had to look at. */
  strange = 0;

  constructor(range: KeyRange, from: number) {
    this.range = range;
    this.from = from;
  }

  onBatch({ events }: Batch, last: number): void {
    assert.equal(events.findLast(({ key }) => this.range.contains(key))?.revision, last);
    for (const { key, revision } of events) {
      if (!this.range.contains(key)) this.strange++;
      else if (revision >= this.from) this.events.push(`${key}@${revision}`);
    }
  }

  onMoved(): void {
    this.moves++;
  }

  onEnd(end: SubscriptionEnd): void {
    this.ends.push(end);
  }
}

function hubOn(upstream: Upstream): WatchHub {
  const limits = {
    historyBytes: 1 << 20,
    historyRevisions: 1000,
    maxRevisionBytes: 1 << 20,
    fragmentBytes: 1 << 21,
  };
  return new WatchHub({ upstream, ...limits, linger: 0 });
}

for (const install of await availableEtcds()) {
  describe(`subscribers of feeds, etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    let etcd: EtcdCluster;
    let relay: CutRelay;
    let direct: KvClient;
    let hub: WatchHub;
    let feeds: IdentityFeeds;
    before(async () => {
      etcd = held.use(await startEtcd({ install }));
      relay = held.use(await CutRelay.start(etcd.first.address));
      direct = clientOf(etcd.first.address);
      const upstream = connect(relay.address);
      held.defer(() => upstream.close());
      hub = hubOn(upstream);
      held.defer(() => hub.close());
    });
    after(() => held.disposeAsync());

    async function put(key: string): Promise<number> {
      return Number((await direct.put({ key: bytes(key), value: bytes('v') })).header?.revision);
    }

    function subscribe(key: string, end: string, next: number): [Recorder, Subscription] {
      feeds = hub.feedsOf(clientIdentityOf(NO_METADATA));
      const range = new KeyRange(key, end);
      const recorder = new Recorder(range, next);
      const subscription = feeds.subscribe(range, false, next, recorder);
      assert.ok(subscription);
      return [recorder, subscription];
    }

    test('hear every event of their range from their revision on, however late they come', async () => {
      const first = await put('a/1');
      const [wide, place] = subscribe('a/', 'a0', first);
      const expected = [`a/1@${first}`];
      for (const key of ['a/2', 'b/1', 'a/1', 'a/3']) {
        const revision = await put(key);
        if (key !== 'b/1') expected.push(`${key}@${revision}`);
      }
      await until('the events', () => wide.events.length === 4);
      assert.deepEqual(wide.events, expected);

      const [exact, second] = subscribe('a/1', '', first);
      assert.equal(second.feed, place.feed);
      assert.deepEqual(
        exact.events,
        expected.filter((event) => event.startsWith('a/1')),
      );
      const [late] = subscribe('a/', 'a0', first + 2);
      assert.deepEqual(late.events, expected.slice(2));
      assert.equal(hub.stats.feeds, 1);

      const { strange } = exact;
      const last = await put('a/2');
      await until('the last event', () => late.events.at(-1) === `a/2@${last}`);
      assert.equal(wide.events.at(-1), `a/2@${last}`);
      assert.equal(exact.events.length, 2);
      assert.equal(exact.strange, strange, 'a batch for others came to it');
      assert.ok(wide.moves > 0);
      await until('being in sync', () => place.feed.applied >= place.feed.syncPoint);
    });

    test('keep a feed open, and the last one to go closes it', async () => {
      const revision = await put('keep');
      const before = hub.stats.feeds;
      const [, one] = subscribe('keep', '', revision + 1);
      const [, two] = subscribe('keep', '', revision + 1);
      assert.equal(hub.stats.feeds, before + 1);
      one.feed.unsubscribe(one);
      one.feed.unsubscribe(one);
      assert.equal(hub.stats.feeds, before + 1);
      two.feed.unsubscribe(two);
      assert.equal(hub.stats.feeds, before);
      assert.equal(two.feed.state, 'ended');
    });

    test('may decline a feed of their own', async () => {
      const recorder = new Recorder(new KeyRange('lonely', ''), 1);
      const { range } = recorder;
      assert.equal(feeds.subscribe(range, false, 1, recorder, false), undefined);
    });

    test('miss nothing when the stream is lost, and know that they may be behind', async () => {
      const revision = await put('cut');
      const [recorder, { feed }] = subscribe('cut', '', revision + 1);
      await until('the feed', () => feed.state === 'live');
      assert.ok(feed.syncPoint >= revision && feed.syncPoint < Number.POSITIVE_INFINITY);
      for (let i = 0; i < 5; i++) {
        // It may be over before somebody looks.
        const { resumes } = hub.stats;
        relay.cut();
        await until('the loss', () => hub.stats.resumes > resumes);
        if (feed.state === 'resuming') assert.equal(feed.syncPoint, Number.POSITIVE_INFINITY);
        const written = await put('cut');
        await until('the event', () => recorder.events.at(-1) === `cut@${written}`);
        await until('the feed again', () => feed.state === 'live' && feed.applied >= feed.syncPoint);
        assert.ok(feed.applied >= written);
      }
      assert.equal(recorder.events.length, 5);
      assert.equal(recorder.ends.length, 0);
    });

    test('are told when the revision that they need is compacted', async () => {
      const first = await put('old');
      const last = await put('old');
      await direct.compact({ revision: BigInt(last) });
      const [recorder, { feed }] = subscribe('old', '', first);
      await until('the end', () => recorder.ends.length > 0);
      assert.equal(recorder.ends[0]?.kind, 'compacted');
      assert.equal(feed.used, false);
      assert.equal(feed.state, 'ended');
    });
  });
}

describe('subscribers of a feed whose cluster is replaced', () => {
  test('are told, and hear nothing of the new one', async () => {
    await using held = new AsyncDisposableStack();
    const old = held.use(await startEtcd());
    const other = held.use(await startEtcd());
    const relay = held.use(await CutRelay.start(old.first.address));
    const upstream = connect(relay.address);
    held.defer(() => upstream.close());
    const hub = hubOn(upstream);
    held.defer(() => hub.close());
    const recorder = new Recorder(new KeyRange('a', ''), 1);
    const feeds = hub.feedsOf(clientIdentityOf(NO_METADATA));
    const subscription = feeds.subscribe(recorder.range, false, 2, recorder);
    await until('the feed', () => subscription?.feed.state === 'live');
    relay.target = other.first.address;
    relay.cut();
    await until('the end', () => recorder.ends.length > 0);
    assert.equal(recorder.ends[0]?.kind, 'replaced');
    await clientOf(other.first.address).put({ key: bytes('a') });
    assert.equal(hub.stats.feeds, 0);
    assert.deepEqual(recorder.events, []);
  });
});
