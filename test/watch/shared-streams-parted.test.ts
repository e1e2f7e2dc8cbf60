/** Shared streams that are lost or part: what counts for a watch that had just come, and what a compaction may end. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

let at: ScriptedHub;
beforeEach(() => {
  at = new ScriptedHub();
});
afterEach(() => at[Symbol.dispose]());

const events = (key: string, revisions: readonly number[]) =>
  revisions.map((revision) => ({ kv: { key: b(key), modRevision: BigInt(revision) } }));

async function answer({ stream }: ScriptedWatch, revision: number): Promise<void> {
  const before = stream.questions;
  await until('a question', () => stream.questions > before);
  stream.answer(revision);
}

test('what etcd said of a stream before it told of a watch says nothing of that when the stream is lost', async () => {
  const client = await at.watching('a');
  const a = await at.created('a');
  const other = await at.watching('b'); // from revision 2 on
  const watch = await at.opened('b');
  // Another client changes b at 2; etcd has the watch since before. Its event waits behind `created` ("pending" of
  // etcd's sendLoop), and the answer overtakes both.
  at.upstream.revision = 2;
  client.progress();
  await answer(a, 2);
  watch.say(1, { created: true });
  // The connection breaks between `created` and the event.
  watch.end(new RpcError(Code.UNAVAILABLE, 'gone'));
  await at.opened('b');
  for (const each of at.upstream.watches.slice(2)) each.say(2, { created: true }); // in their order
  // Whoever takes the answer for one about b asks for nothing else.
  const latest = (): ScriptedWatch | undefined =>
    at.upstream.watches.findLast(({ key, cancelled, answered }) => key === 'b' && !cancelled && !answered);
  const past = await until('a watch of what was lost', latest);
  past.say(2, { created: true });
  past.say(2, { events: events('b', [2]) });
  assert.deepEqual(other.revisions, [2]);
});

test('a watch that parts from one that has much to catch up with is not ended by a compaction meanwhile', async () => {
  at.upstream.revision = 100;
  const clients = ['q', 'z'].map((key) => {
    const client = at.client();
    client.watch({ key: b(key), startRevision: 2n });
    return client;
  });
  const quiet = await at.opened('q', 2);
  const busy = await at.opened('z', 2);
  for (const watch of [quiet, busy].toSorted((x, y) => Number(x.id - y.id)))
    watch.say(100, { created: true });
  // What is told before a question is under way says nothing of who is busy while that is not answered.
  await until('a question', () => quiet.stream.questions > 0);
  busy.say(100, { events: events('z', [50]) });
  await until('two streams', () => at.upstream.streams.length === 2);
  const moved = at.upstream.watches.at(-1) as ScriptedWatch;
  // Compacted at 60: to etcd the watch of q has had everything up to 100 long since.
  moved.say(100, { created: true });
  moved.say(0, { canceled: true, compactRevision: 60n });
  quiet.say(101, { events: events('q', [101]) });
  assert.deepEqual(clients[0]?.responses.filter(({ canceled }) => canceled).length, 0);
  assert.deepEqual(clients[0]?.revisions, [101]);
});

test('a refused move to another stream of the past is not tried again and again', async () => {
  at.upstream.revision = 100;
  for (const key of ['q', 'z']) at.client().watch({ key: b(key), startRevision: 2n });
  const quiet = await at.opened('q', 2);
  const busy = await at.opened('z', 2);
  for (const watch of [quiet, busy].toSorted((x, y) => Number(x.id - y.id)))
    watch.say(100, { created: true });
  let revision = 2;
  const before = at.upstream.streams.length;
  for (let i = 0; i < 40; i++) {
    busy.say(100, { events: events('z', [++revision]) });
    await sleep(100);
    for (const w of at.upstream.watches)
      if (!w.answered && !w.cancelled)
        w.say(100, { created: true, canceled: true, watchId: -1n, cancelReason: 'expired' });
  }
  assert.ok(at.upstream.streams.length - before <= 1);
});

test('a watch is not on another cluster than the one that answered its request', async () => {
  at.upstream.revision = 5;
  const clients = [await at.watching('now'), await at.watching('past', { startRevision: 3n })];
  at.upstream.cluster = 2n;
  for (const key of ['now', 'past']) await at.created(key);
  for (const { ending } of clients)
    assert.deepEqual(
      [ending?.code, ending?.message.includes('different clusters')],
      [Code.UNAVAILABLE, true],
    );
  assert.deepEqual([at.hub.stats.watchers, at.hub.stats.feeds], [0, 0]);
});

test('a watch that was suspected shares a stream again when its own was good for long and is lost', async (context) => {
  let later = 0;
  const now = performance.now.bind(performance);
  context.mock.method(performance, 'now', () => now() + later);
  const client = await at.watching('a');
  (await at.created('a')).end(new RpcError(Code.INTERNAL, 'etcd has a fault'));
  await at.watching('b');
  const shared = await at.created('b');
  for (const ms of [1000, 31_000]) {
    const alone = await at.created('a');
    assert.notEqual(alone.stream, shared.stream);
    later += ms;
    alone.end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
  }
  assert.equal((await at.created('a')).stream, shared.stream);
  assert.equal(client.ending, undefined);
});

test('a watch that nobody wants any more when the first of those that waited begins is not asked for', async () => {
  const unary = at.upstream.unary.bind(at.upstream);
  const known = Promise.withResolvers<void>();
  at.upstream.unary = async (request, call) => {
    if (call.method.name === 'Status') await known.promise;
    return unary(request, call);
  };
  const open = at.upstream.stream.bind(at.upstream);
  const [first, second] = [at.client(), at.client()];
  at.upstream.stream = (call, listener) => {
    second.leave();
    return open(call, listener);
  };
  first.watch({ key: b('a') });
  second.watch({ key: b('b') });
  for (let i = 0; i < 8; i++) await turn();
  known.resolve();
  await at.created('a');
  await until('the reply', () => first.responses.length === 1);
  assert.deepEqual(
    at.upstream.watches.map(({ key }) => key),
    ['a'],
  );
});
