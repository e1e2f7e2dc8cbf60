/**
 * Streams of clients that the proxy signs in: a watch that etcd refuses. Before its client hears of that, and of what
 * follows, it is known whether the refusal was for the token's sake.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { Code, OK } from '../../src/rpc/status.ts';
import { SignedStream } from '../../src/services/signed-stream.ts';
import { ScriptedClient } from '../watch/scripted-client.ts';

const encode = (response: MessageInitShape<typeof WatchResponseSchema>) =>
  toBinary(WatchResponseSchema, create(WatchResponseSchema, response));
const refusal = (cancelReason: string) =>
  encode({ created: true, canceled: true, watchId: -1n, cancelReason });
const progress = (watchId: bigint) => encode({ watchId });

/** A stream that its handler has, and a user of whom the test says what etcd says. */
async function setUp() {
  let token = 'one';
  const questions: PromiseWithResolvers<boolean>[] = [];
  const signed = new Map<string, Metadata>();
  const user = {
    sign: () => {
      const metadata = signed.get(token) ?? new Metadata(['token', token]);
      signed.set(token, metadata);
      return metadata;
    },
    renew: async () => false,
    confirm: async () => true,
    confirmAnew: () => {
      const question = Promise.withResolvers<boolean>();
      questions.push(question);
      return question.promise;
    },
  };
  const heard: string[] = [];
  const given = Promise.withResolvers<ServerStream>();
  const client = new ScriptedClient((stream, call) =>
    new SignedStream(stream, call, user).begin((own) => {
      own.listener = {
        onMessage: () => heard.push('message'),
        onHalfClose: () => heard.push('half-close'),
        onDrain: () => heard.push('drain'),
        onCancel: () => heard.push('cancel'),
      };
      given.resolve(own);
    }),
  );
  const stream = await given.promise;
  return {
    stream,
    client,
    heard,
    questions,
    /** What the client was told, in a word each. */
    told: () => client.responses.map(({ cancelReason, watchId }) => cancelReason || `${watchId}`),
    /** etcd says that the token is good, or the user has signed in again; false: etcd is away. */
    answer: async (known: boolean, now = token) => {
      token = now;
      questions.shift()?.resolve(known);
      await setImmediate();
    },
  };
}

test("etcd's word on the user is passed on, what follows behind it, and then there is room again", async () => {
  const { stream, client, heard, told, answer } = await setUp();
  assert.equal(stream.send(progress(1n)), true);
  assert.equal(stream.send(refusal('denied')), false);
  assert.equal(stream.send(progress(2n)), false);
  const whole = progress(3n);
  assert.equal(stream.sendJoined(whole.subarray(0, 1), whole.subarray(1)), false);
  await setImmediate();
  assert.deepEqual(told(), ['1']);
  assert.ok(client.held > 0, 'it is counted');
  await answer(true);
  assert.deepEqual(told(), ['1', 'denied', '2', '3']);
  assert.deepEqual([heard, client.held], [['drain'], 0]);
  assert.equal(stream.send(progress(4n)), true);
  assert.equal(client.ending, undefined);
});

for (const [what, known, token] of [
  ['the user has signed in again', true, 'two'],
  ['etcd cannot be asked', false, 'one'],
] as const)
  test(`${what}: the client hears nothing but that it has to come back`, async () => {
    const { stream, client, heard, told, answer } = await setUp();
    stream.send(refusal('denied'));
    stream.send(progress(2n));
    await answer(known, token);
    assert.deepEqual([told(), heard], [[], ['cancel']]);
    assert.equal(client.ending?.code, Code.UNAVAILABLE);
  });

test('an end comes behind what is held, and the handler hears no more', async () => {
  const { stream, client, heard, told, answer } = await setUp();
  stream.send(refusal('denied'));
  stream.end(OK);
  assert.equal(client.ending, undefined);
  await answer(true);
  assert.deepEqual([told(), heard, client.ending], [['denied'], [], OK]);

  const other = await setUp();
  other.stream.send(refusal('denied'));
  other.stream.end(OK);
  await other.answer(true, 'two');
  assert.deepEqual([other.told(), other.heard], [[], []]);
  assert.equal(other.client.ending?.code, Code.UNAVAILABLE);
});

test('a client that does not read is waited for', async () => {
  const { stream, client, heard, answer } = await setUp();
  client.stop();
  stream.send(refusal('denied'));
  await answer(true);
  assert.deepEqual(heard, []);
  client.go();
  assert.deepEqual(heard, ['drain']);
});

test('a further refusal among what is held is looked at by itself', async () => {
  const { stream, client, heard, told, answer, questions } = await setUp();
  stream.send(refusal('first'));
  stream.send(progress(2n));
  stream.send(refusal('second'));
  stream.send(progress(3n));
  await answer(true);
  assert.deepEqual([told(), heard, questions.length], [['first', '2'], [], 1]);
  await answer(true, 'two');
  assert.deepEqual([told(), heard], [['first', '2'], ['cancel']]);
  assert.equal(client.ending?.code, Code.UNAVAILABLE);
});
