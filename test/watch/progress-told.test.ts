/** Revisions that clients are told where nobody has asked: when a watch begins, by progress, and after its stream was lost. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import { ProgressScript } from './progress-script.ts';
import type { ScriptedClient } from './scripted-client.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

let at: ProgressScript;

beforeEach(() => {
  at = new ProgressScript();
});
afterEach(() => at[Symbol.dispose]());

describe('a watch that no feed serves yet', () => {
  test('begins where etcd is when it has the watch, so that no watch of the past has to bring what lies between', async () => {
    const client = await at.watching('a');
    const stream = await at.opened('a');
    assert.equal(client.responses.length, 0);
    at.upstream.revision = 5; // of other keys
    stream.say(5, { created: true });
    await until('the reply', () => client.responses.length === 1);
    assert.equal(Number(client.responses[0]?.header?.revision), 5);
    at.upstream.revision = 7;
    client.progress();
    await at.answerLater(stream, 0);
    assert.deepEqual(client.answers, [7]);
    const event = at.tell(stream, 'a');
    assert.deepEqual([client.revisions, at.upstream.watches.length], [[event], 1]);
  });

  test('begins no earlier than what its client was told by etcd, where that is later', async () => {
    at.upstream.revision = 8;
    const client = await at.watching('a');
    const stream = await at.created('a', 0);
    assert.equal(Number(client.responses[0]?.header?.revision), 8);
    stream.say(9, {
      events: [{ kv: { key: b('a'), modRevision: 8n } }, { kv: { key: b('a'), modRevision: 9n } }],
    });
    assert.deepEqual(client.revisions, [9]);
  });

  test('is one for all who want the range, and none when they have gone', async () => {
    const clients = [await at.watching('a'), await at.watching('a')];
    const stream = await at.opened('a');
    for (const client of clients) client.leave();
    assert.deepEqual([at.upstream.watches.length, stream.cancelled, at.hub.stats.feeds], [1, true, 0]);
  });

  test('is told all the same where its stream is lost before, and misses nothing', async () => {
    const client = await at.watching('a');
    (await at.opened('a')).end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
    await until('the reply', () => client.responses.length === 1);
    at.upstream.revision = 4;
    await at.created('a');
    const backlog = await at.created('a', 2);
    assert.equal(backlog.start, 2);
    backlog.say(4, { events: [{ kv: { key: b('a'), modRevision: 3n } }] });
    assert.deepEqual(client.revisions, [3]);
  });
});

describe('progress that comes by itself', () => {
  test('goes on after another feed has ended', async () => {
    const [client, stream] = await at.watched('a', { progressNotify: true });
    const [, other] = await at.apart('b');
    other.end(new RpcError(Code.RESOURCE_EXHAUSTED, 'too large'));
    for (const revision of [8, 9]) {
      at.upstream.revision = revision;
      stream.say(revision, {});
      await at.answerLater(stream, 0);
    }
    await until('progress', () => Number(client.responses.at(-1)?.header?.revision) === 9);
  });

  test('names no revision that etcd has not', async () => {
    const client = await at.watching('a', { startRevision: 1000n, progressNotify: true });
    const stream = await at.opened('a');
    at.upstream.revision = 9;
    stream.say(9, { created: true });
    const past = await at.created('a', 2);
    past.say(9, {});
    await at.answerLater(past, 0);
    client.progress();
    await sleep(30); // nothing may happen
    assert.deepEqual([client.responses.length, client.answers, at.seen.revision], [1, [], 1]);
  });
});

describe('after the stream was lost, on a member that is behind', () => {
  /** A watch whose client was told of progress up to 200, on a stream that has begun on a member at 150. */
  async function behind(tell: (client: ScriptedClient, stream: ScriptedWatch) => void | Promise<void>) {
    const [client, stream] = await at.watched('a', { progressNotify: true });
    at.upstream.revision = 200;
    await tell(client, stream);
    await until('progress', () => lastOf(client) === 200);
    at.upstream.revision = 150;
    stream.end(new RpcError(Code.UNAVAILABLE, 'the connection broke'));
    return { client, again: await at.created('a') };
  }
  const lastOf = ({ responses }: ScriptedClient): number => Number(responses.at(-1)?.header?.revision);
  const ask = async (client: ScriptedClient, stream: ScriptedWatch): Promise<void> => {
    client.progress();
    await at.answerLater(stream, 0);
  };
  const notify = async (_: ScriptedClient, stream: ScriptedWatch): Promise<void> => {
    stream.say(200, {});
    await at.answerLater(stream, 0);
  };

  for (const [how, tell] of [
    ['it was asked for', ask],
    ['it came by itself', notify],
  ] as const)
    test(`no less is told than before, when ${how}`, async () => {
      const { client, again } = await behind(tell);
      const before = client.responses.length;
      again.say(150, {});
      client.progress();
      await at.answerLater(again, 1);
      again.say(160, {});
      await sleep(20); // nothing may happen
      assert.deepEqual([client.responses.length, lastOf(client)], [before, 200]);
      at.upstream.revision = 205;
      await at.answerLater(again, 0);
      await until('an answer', () => client.responses.length > before);
      assert.equal(lastOf(client), 205);
    });
});

test('events that a member which is behind sends again are dropped, and counted', async () => {
  const [client, stream] = await at.watched('d');
  const event = (revision: number) => ({ kv: { key: b('d'), modRevision: BigInt(revision) } });
  stream.say(3, { events: [event(2), event(3)] });
  stream.say(4, { events: [event(2), event(3), event(4)] });
  assert.deepEqual([at.hub.stats.events, at.hub.stats.repeated, client.revisions], [3, 2, [2, 3, 4]]);
});
