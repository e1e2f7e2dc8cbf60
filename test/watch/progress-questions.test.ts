/** Progress that clients are told, with an etcd that answers, or passes over questions, as the test says. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b, span } from '../support/watch-client.ts';
import type { ScriptedClient } from './scripted-client.ts';
import { ScriptedHub } from './scripted-hub.ts';
import type { ScriptedWatch } from './scripted-upstream.ts';

let at: ScriptedHub;

beforeEach(() => {
  at = new ScriptedHub({ historyRevisions: 6 });
});
afterEach(() => at[Symbol.dispose]());

/** How many questions etcd was asked on a stream. */
const questions = (stream: ScriptedWatch): number => stream.stream.questions;

/** etcd's answer to a question, at the store's revision. */
const answer = (stream: ScriptedWatch): void => stream.say(at.upstream.revision, { watchId: -1n });

/** etcd passes over so many questions and answers the one after them. */
async function answerLater(stream: ScriptedWatch, passedOver: number): Promise<void> {
  const before = questions(stream);
  await until('another question', () => questions(stream) > before + passedOver);
  answer(stream);
}

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
    await answerLater(stream, 0);
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
    assert.deepEqual(client.revisions, [8, 9].slice(1));
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

describe('a request for progress', () => {
  test('is answered with the revision that etcd has then, in one round, however many were passed over before', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    at.upstream.revision = 5;
    client.progress();
    await answerLater(stream, 3);
    assert.deepEqual(client.answers, [5]);
    for (const revision of [6, 7, 8]) {
      at.upstream.revision = revision;
      client.progress();
      await answerLater(stream, 0);
      assert.equal(client.answers.at(-1), revision);
    }
  });

  test('is not answered by what etcd said of an earlier revision', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    at.upstream.revision = 9;
    client.progress();
    await until('a question', () => questions(stream) > 0);
    stream.say(7, { watchId: -1n });
    assert.deepEqual(client.answers, []);
    await answerLater(stream, 0);
    assert.deepEqual(client.answers, [9]);
  });

  test('needs no question where an event has told as much', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    at.tell(stream, 'a');
    client.progress();
    await until('an answer', () => client.answers.length === 1);
    assert.deepEqual([client.answers, questions(stream)], [[2], 0]);
  });

  test('waits for a feed whose member is behind what the client was told when its watch began', async () => {
    at.upstream.revision = 8;
    const client = await at.watching('a');
    const stream = await at.opened('a');
    stream.say(6, { created: true });
    client.progress();
    await until('a question', () => questions(stream) > 0);
    stream.say(7, { watchId: -1n });
    assert.deepEqual(client.answers, []);
    await answerLater(stream, 0);
    assert.deepEqual(client.answers, [8]);
  });

  test('is one of 128 that are answered together; more are passed over, and a full stream ends it', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    at.upstream.revision = 5;
    client.progress();
    for (let i = 0; i < 1000; i++) client.progress();
    await answerLater(stream, 0);
    await until('answers', () => client.answers.length === 129);
    client.stop();
    for (let i = 0; i < 1000; i++) client.progress();
    await until('one more', () => client.answers.length >= 130);
    await sleep(20); // nothing more may happen
    assert.equal(client.answers.length, 130);
  });

  test('is answered although another feed has lost its stream meanwhile', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    await at.watching('b', { prevKv: true }); // on another stream
    const other = await at.created('b');
    at.upstream.revision = 5;
    client.progress();
    await until('a question', () => questions(stream) > 0);
    // What is known of the member is forgotten with any stream that ends: it may have come back as another release.
    other.end(new RpcError(Code.PERMISSION_DENIED, 'for good'));
    await answerLater(stream, 0);
    assert.deepEqual(client.answers, [5]);
  });

  test('is answered although a watch was told of more than the others have had meanwhile', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    client.watch({ key: b('b') });
    const other = await at.created('b');
    await until('the watches', () => client.responses.length === 2);
    at.tell(stream, 'a');
    client.progress();
    await until('a question', () => questions(stream) > 0);
    const told = at.tell(other, 'b');
    await answerLater(stream, 0);
    await until('an answer', () => client.answers.length > 0);
    assert.deepEqual(client.answers, [told]);
  });

  test('is answered when a watch that begins behind it has caught up', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    at.upstream.revision = 5;
    client.progress();
    client.watch({ key: b('c'), startRevision: 2n });
    const late = await at.opened('c', 2);
    await until('the watch', () => client.responses.length === 2);
    await answerLater(stream, 0);
    late.say(5, { created: true });
    late.say(5, { events: [{ kv: { key: b('c'), modRevision: 3n } }] });
    assert.deepEqual(client.answers, []);
    await answerLater(late, 0);
    await until('an answer', () => client.answers.length > 0);
    assert.deepEqual(client.answers, [5]);
  });

  test('is answered although a feed that was asked for an earlier one never answers, once no watch is on that', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    const other = await at.watching('b', { prevKv: true }); // on another stream
    const silent = await at.created('b');
    await until('the other watch', () => other.responses.length === 1);
    client.watch({ key: b('b'), prevKv: true });
    await until('the watches', () => client.responses.length === 2);
    at.upstream.revision = 5;
    client.progress();
    await answerLater(stream, 0);
    await until('a question', () => questions(silent) > 0);
    client.cancel(1n);
    await until('the end of the watch', () => client.responses.at(-1)?.canceled === true);
    at.upstream.revision = 6;
    await until('an answer', () => {
      client.progress();
      answer(stream);
      return client.answers.length > 0;
    });
    assert.equal(client.answers[0], 6);
    // One that asks again is not kept by a question of before, and is told no less than there is now.
    answer(silent);
    client.watch({ key: b('b'), prevKv: true });
    await until('the watch again', () =>
      client.responses.some(({ created, watchId }) => created && watchId === 2n),
    );
    const before = client.answers.length;
    at.upstream.revision = 8;
    await until('another answer', () => {
      client.progress();
      answer(stream);
      answer(silent);
      return client.answers.length > before;
    });
    assert.equal(client.answers.at(-1), 8);
  });

  test('is not answered with less than etcd has where the watch moves to another feed meanwhile', async () => {
    await at.watching('c');
    const main = await at.created('c');
    for (let i = 0; i < 9; i++) at.tell(main, 'c');
    const late = at.client();
    late.watch({ key: b('c'), startRevision: 2n });
    const catchUp = await at.created('c', 2);
    at.upstream.revision = 12; // of other keys
    late.progress();
    await until('a question', () => questions(catchUp) > 0);
    const events = span(2, 10).map((revision) => ({ kv: { key: b('c'), modRevision: BigInt(revision) } }));
    catchUp.say(10, { events });
    await until('all events', () => late.revisions.length === 9);
    await until('an answer', () => {
      answer(main);
      return late.answers.length > 0;
    });
    assert.deepEqual([late.answers, at.hub.stats.catchUps], [[12], 0]);
  });

  test('is not answered for a watch that its client does not read, however often it is asked', async () => {
    const client = await at.watching('a');
    const stream = await at.created('a');
    client.watch({ key: b('b') });
    const other = await at.created('b');
    await until('the watches', () => client.responses.length === 2);
    at.tell(stream, 'a');
    client.progress();
    await until('a question', () => questions(stream) > 0);
    client.stop();
    at.tell(other, 'b');
    at.tell(other, 'b');
    await answerLater(stream, 0);
    await sleep(20); // nothing may happen
    const asked = questions(stream);
    client.go();
    await sleep(20); // nothing may happen
    assert.deepEqual([client.answers, questions(stream)], [[], asked]);
  });

  test('is answered although Status failed at first', async () => {
    at.upstream.statusFailures.push(new RpcError(Code.UNAVAILABLE, 'no connection'));
    const client = await at.watching('a');
    const stream = await at.created('a');
    at.upstream.revision = 5;
    client.progress();
    await answerLater(stream, 0);
    assert.deepEqual([client.answers, at.upstream.statusCalls], [[5], 2]);
  });
});

describe('progress that comes by itself', () => {
  test('goes on after another feed has ended', async () => {
    const client = await at.watching('a', { progressNotify: true });
    const stream = await at.created('a');
    await at.watching('b', { prevKv: true }); // on another stream
    (await at.created('b')).end(new RpcError(Code.RESOURCE_EXHAUSTED, 'too large'));
    for (const revision of [8, 9]) {
      at.upstream.revision = revision;
      stream.say(revision, {});
      await answerLater(stream, 0);
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
    await answerLater(past, 0);
    client.progress();
    await sleep(30); // nothing may happen
    assert.deepEqual([client.responses.length, client.answers, at.seen.revision], [1, [], 1]);
  });
});

describe('after the stream was lost, on a member that is behind', () => {
  /** A watch whose client was told of progress up to 200, on a stream that has begun on a member at 150. */
  async function behind(tell: (client: ScriptedClient, stream: ScriptedWatch) => void | Promise<void>) {
    const client = await at.watching('a', { progressNotify: true });
    const stream = await at.created('a');
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
    await answerLater(stream, 0);
  };
  const notify = async (_: ScriptedClient, stream: ScriptedWatch): Promise<void> => {
    stream.say(200, {});
    await answerLater(stream, 0);
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
      await answerLater(again, 1);
      again.say(160, {});
      await sleep(20); // nothing may happen
      assert.deepEqual([client.responses.length, lastOf(client)], [before, 200]);
      at.upstream.revision = 205;
      await answerLater(again, 0);
      await until('an answer', () => client.responses.length > before);
      assert.equal(lastOf(client), 205);
    });
});

describe('a catch-up', () => {
  test('asks less and less often while its watcher is held up, and not at all while nobody reads', async () => {
    await at.watching('c');
    const main = await at.created('c');
    for (let i = 0; i < 9; i++) at.tell(main, 'c');
    const late = at.client();
    late.watch({ key: b('c'), startRevision: 2n });
    const catchUp = await at.created('c', 2);
    const answering = setInterval(() => answer(catchUp), 1);
    late.stop();
    for (const revision of span(2, 4))
      catchUp.say(at.upstream.revision, { events: [{ kv: { key: b('c'), modRevision: BigInt(revision) } }] });
    const before = questions(catchUp);
    await sleep(200); // nothing may happen
    clearInterval(answering);
    assert.ok(questions(catchUp) - before <= 1, `${questions(catchUp) - before} questions`);
  });
});

test('events that a member which is behind sends again are dropped, and counted', async () => {
  const client = await at.watching('d');
  const stream = await at.created('d');
  const event = (revision: number) => ({ kv: { key: b('d'), modRevision: BigInt(revision) } });
  stream.say(3, { events: [event(2), event(3)] });
  stream.say(4, { events: [event(2), event(3), event(4)] });
  assert.deepEqual([at.hub.stats.events, at.hub.stats.repeated, client.revisions], [3, 2, [2, 3, 4]]);
});
