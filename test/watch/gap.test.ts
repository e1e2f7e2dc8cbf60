/** Many revisions in one response of etcd: as one where etcd had reason to, by revision where only the proxy was late. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Code, RpcError } from '../../src/rpc/status.ts';
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

/** etcd tells of puts of a key at these revisions in one response, or of some of them. */
function tell(stream: ScriptedWatch, key: string, revisions: readonly number[], fragment = false): void {
  const events = revisions.map((revision) => ({ kv: { key: b(key), modRevision: BigInt(revision) } }));
  at.upstream.revision = Math.max(at.upstream.revision, revisions.at(-1) as number);
  stream.say(at.upstream.revision, { events, fragment });
}

/** The revisions of each response with events, and the revision of its header. */
const got = ({ responses }: ScriptedClient): unknown[] =>
  responses
    .filter(({ events }) => events.length > 0)
    .map(({ header, events }) => [events.map(({ kv }) => Number(kv?.modRevision)), Number(header?.revision)]);

test('a watch that follows gets as one what etcd sends as one, as after a restored snapshot', async () => {
  const client = await at.watching('k');
  const stream = await at.created('k');
  tell(stream, 'k', [2]);
  tell(stream, 'k', [3, 4, 4, 9]);
  assert.deepEqual(got(client), [
    [[2], 2],
    [[3, 4, 4, 9], 9],
  ]);
});

test('what was missed while there was no watch on etcd comes by revision, and only that', async () => {
  const client = await at.watching('k');
  const lost = await at.created('k');
  lost.end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
  at.upstream.revision = 4;
  // From now on first, and then from what was missed.
  await at.created('k');
  const stream = await at.created('k', 2);
  assert.equal(stream.start, 2);
  tell(stream, 'k', [2, 3, 4]);
  tell(stream, 'k', [5, 6]);
  assert.deepEqual(got(client), [
    [[2], 2],
    [[3], 3],
    [[4], 4],
    [[5, 6], 6],
  ]);
});

test('what was missed may be more than etcd puts into a response', async () => {
  const client = await at.watching('k');
  (await at.created('k')).end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
  at.upstream.revision = 1500;
  await at.created('k');
  const stream = await at.created('k', 2);
  tell(stream, 'k', span(2, 1001));
  tell(stream, 'k', span(1002, 1500));
  tell(stream, 'k', [1501, 1502]);
  assert.deepEqual(
    got(client).map((each) => (each as [number[], number])[0].length),
    [...Array.from({ length: 1499 }, () => 1), 2],
  );
});

test('a backlog that a client asks for comes as etcd sends it', async () => {
  at.upstream.revision = 9;
  const client = await at.watching('k', { startRevision: 2n });
  const stream = await at.created('k', 2);
  tell(stream, 'k', [2, 3, 9]);
  tell(stream, 'k', [10]);
  assert.deepEqual(got(client), [
    [[2, 3, 9], 9],
    [[10], 10],
  ]);
});

test('a backlog from the history has as many revisions in one response as etcd would put there, and no more', async () => {
  const first = await at.watching('k');
  const stream = await at.created('k');
  for (const from of [2, 602, 1202, 1402]) tell(stream, 'k', span(from, from + (from < 1202 ? 599 : 199)));
  const late = await at.watching('k', { startRevision: 2n });
  const sizes = (client: ScriptedClient): number[] =>
    got(client).map((each) => (each as [number[], number])[0].length);
  await until('the backlog', () => late.revisions.length === 1600);
  assert.deepEqual(
    [sizes(first), sizes(late)],
    [
      [600, 600, 200, 200],
      [600, 1000],
    ],
  );
});
