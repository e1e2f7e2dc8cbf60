/** Requests for progress, with an etcd that answers, or passes over questions, as the test says. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b, span } from '../support/watch-client.ts';
import { asked, ProgressScript, questions } from './progress-script.ts';

let at: ProgressScript;

beforeEach(() => {
  at = new ProgressScript();
});
afterEach(() => at[Symbol.dispose]());

describe('a request for progress', () => {
  test('is answered with the revision that etcd has then, in one round, however many were passed over before', async () => {
    const [client, stream] = await at.watched('a');
    at.upstream.revision = 5;
    client.progress();
    await at.answerLater(stream, 3);
    assert.deepEqual(client.answers, [5]);
    for (const revision of [6, 7, 8]) {
      at.upstream.revision = revision;
      client.progress();
      await at.answerLater(stream, 0);
      assert.equal(client.answers.at(-1), revision);
    }
  });

  test('is not answered by what etcd said of an earlier revision', async () => {
    const [client, stream] = await at.watched('a');
    at.upstream.revision = 9;
    client.progress();
    await asked(stream);
    stream.say(7, { watchId: -1n });
    assert.deepEqual(client.answers, []);
    await at.answerLater(stream, 0);
    assert.deepEqual(client.answers, [9]);
  });

  test('needs no question where an event has told as much', async () => {
    const [client, stream] = await at.watched('a');
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
    await asked(stream);
    stream.say(7, { watchId: -1n });
    assert.deepEqual(client.answers, []);
    await at.answerLater(stream, 0);
    assert.deepEqual(client.answers, [8]);
  });

  test('is one of 128 that are answered together; more are passed over, and a full stream ends it', async () => {
    const [client, stream] = await at.watched('a');
    at.upstream.revision = 5;
    client.progress();
    for (let i = 0; i < 1000; i++) client.progress();
    await at.answerLater(stream, 0);
    await until('answers', () => client.answers.length === 129);
    client.stop();
    for (let i = 0; i < 1000; i++) client.progress();
    await until('one more', () => client.answers.length >= 130);
    await sleep(20); // nothing more may happen
    assert.equal(client.answers.length, 130);
  });

  test('is answered although another feed has lost its stream meanwhile', async () => {
    const [client, stream] = await at.watched('a');
    const [, other] = await at.apart('b');
    at.upstream.revision = 5;
    client.progress();
    await asked(stream);
    // What is known of the member is forgotten with any stream that ends: it may have come back as another release.
    other.end(new RpcError(Code.PERMISSION_DENIED, 'for good'));
    await at.answerLater(stream, 0);
    assert.deepEqual(client.answers, [5]);
  });

  test('is answered although a watch was told of more than the others have had meanwhile', async () => {
    const [client, stream, other] = await at.watchedBoth('a', 'b');
    at.tell(stream, 'a');
    client.progress();
    await asked(stream);
    const told = at.tell(other, 'b');
    await at.answerLater(stream, 0);
    await until('an answer', () => client.answers.length > 0);
    assert.deepEqual(client.answers, [told]);
  });

  test('is answered when a watch that begins behind it has caught up', async () => {
    const [client, stream] = await at.watched('a');
    at.upstream.revision = 5;
    client.progress();
    client.watch({ key: b('c'), startRevision: 2n });
    const late = await at.opened('c', 2);
    await until('the watch', () => client.responses.length === 2);
    await at.answerLater(stream, 0);
    late.say(5, { created: true });
    late.say(5, { events: [{ kv: { key: b('c'), modRevision: 3n } }] });
    assert.deepEqual(client.answers, []);
    await at.answerLater(late, 0);
    await until('an answer', () => client.answers.length > 0);
    assert.deepEqual(client.answers, [5]);
  });

  test('is answered although a feed that was asked for an earlier one never answers, once no watch is on that', async () => {
    const [client, stream] = await at.watched('a');
    const [other, silent] = await at.apart('b');
    await until('the other watch', () => other.responses.length === 1);
    client.watch({ key: b('b'), prevKv: true });
    await until('the watches', () => client.responses.length === 2);
    at.upstream.revision = 5;
    client.progress();
    await at.answerLater(stream, 0);
    await asked(silent);
    client.cancel(1n);
    await until('the end of the watch', () => client.responses.at(-1)?.canceled === true);
    at.upstream.revision = 6;
    await until('an answer', () => {
      client.progress();
      at.answer(stream);
      return client.answers.length > 0;
    });
    assert.equal(client.answers[0], 6);
    // One that asks again is not kept by a question of before, and is told no less than there is now.
    at.answer(silent);
    client.watch({ key: b('b'), prevKv: true });
    await until('the watch again', () =>
      client.responses.some(({ created, watchId }) => created && watchId === 2n),
    );
    const before = client.answers.length;
    at.upstream.revision = 8;
    await until('another answer', () => {
      client.progress();
      at.answer(stream);
      at.answer(silent);
      return client.answers.length > before;
    });
    assert.equal(client.answers.at(-1), 8);
  });

  test('is not answered with less than etcd has where the watch moves to another feed meanwhile', async () => {
    const [late, main, catchUp] = await at.catchingUp('c');
    at.upstream.revision = 12; // of other keys
    late.progress();
    await asked(catchUp);
    const events = span(2, 10).map((revision) => ({ kv: { key: b('c'), modRevision: BigInt(revision) } }));
    catchUp.say(10, { events });
    await until('all events', () => late.revisions.length === 9);
    await until('an answer', () => {
      at.answer(main);
      return late.answers.length > 0;
    });
    assert.deepEqual([late.answers, at.hub.stats.catchUps], [[12], 0]);
  });

  test('is not answered for a watch that its client does not read, however often it is asked', async () => {
    const [client, stream, other] = await at.watchedBoth('a', 'b');
    at.tell(stream, 'a');
    client.progress();
    await asked(stream);
    client.stop();
    at.tell(other, 'b');
    at.tell(other, 'b');
    await at.answerLater(stream, 0);
    await sleep(20); // nothing may happen
    const before = questions(stream);
    client.go();
    await sleep(20); // nothing may happen
    assert.deepEqual([client.answers, questions(stream)], [[], before]);
  });

  test('is answered although Status failed at first', async () => {
    at.upstream.statusFailures.push(new RpcError(Code.UNAVAILABLE, 'no connection'));
    const [client, stream] = await at.watched('a');
    at.upstream.revision = 5;
    client.progress();
    await at.answerLater(stream, 0);
    assert.deepEqual([client.answers, at.upstream.statusCalls], [[5], 2]);
  });
});

describe('a catch-up', () => {
  test('asks less and less often while its watcher is held up, and not at all while nobody reads', async () => {
    const [late, , catchUp] = await at.catchingUp('c');
    const answering = setInterval(() => at.answer(catchUp), 1);
    late.stop();
    for (const revision of span(2, 4))
      catchUp.say(at.upstream.revision, { events: [{ kv: { key: b('c'), modRevision: BigInt(revision) } }] });
    const before = questions(catchUp);
    await sleep(200); // nothing may happen
    clearInterval(answering);
    assert.ok(questions(catchUp) - before <= 1, `${questions(catchUp) - before} questions`);
  });
});
