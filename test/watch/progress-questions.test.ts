/** Whoever asks how far a feed has come is told, whatever happens to what is known of etcd's members meanwhile. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyRange } from '../../src/coalesce/key-range.ts';
import type { Feed } from '../../src/coalesce/watch/feed.ts';
import { WatchHub } from '../../src/coalesce/watch/hub.ts';
import { identityOf } from '../../src/coalesce/watch/identity.ts';
import { Watcher, type WatchSink } from '../../src/coalesce/watch/watcher.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { WATCH_METHODS } from '../../src/services/watch.ts';
import { type ScriptedStream, ScriptedUpstream } from './scripted-upstream.ts';

const sink: WatchSink = {
  blocked: false,
  events() {},
  lagging() {},
  compacted() {},
  progress() {},
  fail() {},
};
const options = { prevKv: false, noPut: false, noDelete: false, fragment: false, progressNotify: false };

let upstream: ScriptedUpstream;
let hub: WatchHub;

before(() => {
  upstream = new ScriptedUpstream();
  hub = new WatchHub({
    upstream,
    methods: WATCH_METHODS,
    historyBytes: 1 << 20,
    historyRevisions: 100,
    linger: 0,
  });
});
after(() => hub.close());

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

/** A watcher of a key on a feed of its own, and that feed's stream to etcd. */
async function watch(key: string): Promise<[feed: Feed, stream: ScriptedStream]> {
  const watcher = new Watcher(sink, new KeyRange(key, ''), options, 0n, 2, 1);
  const count = upstream.streams.length;
  hub.feedsOf(identityOf(NO_METADATA)).placeAt(watcher, 2, false);
  await until(() => upstream.streams.length > count);
  const stream = upstream.streams.at(-1) as ScriptedStream;
  stream.say(1, { created: true });
  return [watcher.feed as Feed, stream];
}

/** etcd's answer to every question on a stream, until somebody is satisfied. */
async function answerUntil(stream: ScriptedStream, holds: () => boolean): Promise<void> {
  for (let answered = 0; !holds(); await sleep(5))
    for (; answered < stream.sent.length - 1; answered++) stream.say(1, { watchId: -1n });
}

test('a question is answered although another feed has lost its stream meanwhile', {
  timeout: 20_000,
}, async () => {
  const [feed, stream] = await watch('a');
  const [, other] = await watch('b');
  await until(() => feed.memberKnown);
  let done = false;
  feed.progress.ask(() => {
    done = true;
  });
  // What is known of members is forgotten with any stream that ends: one may have come back as another release.
  other.end(new RpcError(Code.PERMISSION_DENIED, 'for good'));
  assert.equal(feed.memberKnown, false);
  await answerUntil(stream, () => done);
});

test('a question is answered although Status failed at first', { timeout: 20_000 }, async () => {
  hub.feedsOf(identityOf(NO_METADATA)).versions.forget();
  upstream.statusFailures.push(new RpcError(Code.UNAVAILABLE, 'no connection'));
  const [feed, stream] = await watch('c');
  await until(() => upstream.statusCalls > 1);
  let done = false;
  feed.progress.ask(() => {
    done = true;
  });
  await answerUntil(stream, () => done);
  assert.ok(feed.progressIsSafe);
});

test('events that a member which is behind sends again are dropped, and counted', async () => {
  const [feed, stream] = await watch('d');
  const event = (revision: number) => ({ kv: { key: Buffer.from('d'), modRevision: BigInt(revision) } });
  const { events, repeated } = hub.stats;
  stream.say(3, { events: [event(2), event(3)] });
  stream.say(4, { events: [event(2), event(3), event(4)] });
  assert.deepEqual([hub.stats.events - events, hub.stats.repeated - repeated, feed.applied], [3, 2, 4]);
});
