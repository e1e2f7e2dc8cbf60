/** The feed that a watch of what comes next begins with, and what becomes of those who wait for it. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Code, RpcError, type Status } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';

const LOST: Status = { code: Code.UNAVAILABLE, message: 'lost' };
const NO_STREAM = new RpcError(Code.UNAVAILABLE, 'no more streams', undefined, 'no-stream');

let at: ScriptedHub;

beforeEach(() => {
  at = new ScriptedHub();
});
afterEach(() => at[Symbol.dispose]());

/** What a client was told that its watches begin at. */
const createdAt = ({ responses }: ScriptedClient): number[] =>
  responses.filter(({ created }) => created).map(({ header }) => Number(header?.revision));

async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await turn();
}

describe('a watch that waits for its feed to begin', () => {
  test('begins where etcd is then, and is told nothing before', async () => {
    const client = await at.watching('a');
    const watch = await at.opened('a');
    await settled();
    assert.deepEqual(client.responses, []);
    at.upstream.revision = 7;
    watch.say(7, { created: true });
    await settled();
    assert.deepEqual(createdAt(client), [7]);
    at.tell(watch, 'a');
    assert.deepEqual(client.revisions, [8]);
    assert.equal(at.upstream.watches.length, 1);
  });

  test('is begun with others of its range, and does not end with one that leaves', async () => {
    const clients = [await at.watching('a'), await at.watching('a')];
    const watch = await at.opened('a');
    clients[0]?.leave();
    assert.equal(watch.cancelled, false);
    watch.say(1, { created: true });
    await settled();
    assert.deepEqual(createdAt(clients[1] as ScriptedClient), [1]);
    assert.equal(at.upstream.watches.length, 1);
  });

  test('costs etcd nothing any more when all have left', async () => {
    const clients = [await at.watching('a'), await at.watching('a')];
    const watch = await at.opened('a');
    for (const client of clients) client.leave();
    await until('etcd is told', () => watch.cancelled || watch.stream.cancelled);
    assert.equal(at.hub.stats.feeds, 0);
    for (const { held } of clients) assert.equal(held, 0);
  });

  test('is told where the read was when the stream is lost before, and misses nothing', async () => {
    const client = await at.watching('a');
    (await at.opened('a')).end(LOST);
    await until('the reply', () => client.responses.length > 0);
    assert.deepEqual(createdAt(client), [1]);
    at.upstream.revision = 3;
    const again = await at.created('a');
    assert.equal(again.start, 0);
    // Something happened meanwhile.
    const past = await at.created('a', 2);
    past.say(3, { events: [{ kv: { key: b('a'), modRevision: 3n } }] });
    assert.deepEqual(client.revisions, [3]);
  });

  test('ends where etcd has no stream for it, was never told of, and etcd is not asked again', async () => {
    const clients = [await at.watching('a'), await at.watching('a')];
    (await at.opened('a')).end(NO_STREAM);
    await settled();
    for (const { ending, responses } of clients) {
      assert.deepEqual([ending?.code, ending?.message], [NO_STREAM.code, NO_STREAM.message]);
      assert.deepEqual(responses, []);
    }
    assert.equal(at.upstream.watches.length, 1);
    assert.equal(at.hub.stats.feeds, 0);
  });

  test('has the answers of its stream wait in their order', async () => {
    const client = await at.watching('a');
    const first = await at.opened('a');
    client.watch({ key: b('b'), watchId: 5n });
    client.watch({ key: b('c'), watchId: 5n });
    client.cancel(5n);
    client.progress();
    const [second, third] = [await at.opened('b'), await at.opened('c')];
    await settled();
    assert.deepEqual(client.responses, []);
    for (const watch of [first, second, third]) watch.say(2, { created: true });
    await until('three replies and an end', () => client.responses.length >= 4);
    const told = client.responses.map(({ watchId, created, canceled }) => [watchId, created, canceled]);
    assert.deepEqual(told.slice(0, 4), [
      [0n, true, false],
      [5n, true, false],
      [-1n, true, true],
      [5n, false, true],
    ]);
  });
});
