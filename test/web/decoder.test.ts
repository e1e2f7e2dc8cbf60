/** What large messages of one client leave behind on its signal: nothing. And what becomes of them without a thread. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { Code, OK } from '../../src/rpc/status.ts';
import { methodAt } from '../../src/web/gateway/paths.ts';
import { GatewayReader } from '../../src/web/gateway/reader.ts';
import { type DecodeQuestion, MessageDecoder, startDecoder } from '../../src/web/message-decoder.ts';
import { Door } from './support.ts';

const RANGE = methodAt('/v3/kv/range') ?? assert.fail('no range');
const CLIENT = {};
const LARGE = `{"unknown":"${'a'.repeat(300_000)}"}`;

test('no listener stays, whether or not a message can be read', async () => {
  const { signal } = new AbortController();
  const reader = new GatewayReader(RANGE, 64 << 20, () => signal, CLIENT);
  async function* body(text: string): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  assert.equal((await reader.first(body(LARGE))).length, 0);
  await assert.rejects(reader.first(body(`[${LARGE}]`)));
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('large messages of one stream listen once for the end of their client', async () => {
  const listeners: number[] = [];
  let response: ServerResponse | undefined;
  const onStream = (stream: ServerStream): void => {
    const onMessage = (): void => void listeners.push(response?.listenerCount('close') ?? 0);
    stream.listener = { ...NO_STREAM_LISTENER, onMessage, onHalfClose: () => stream.end(OK) };
  };
  await using door = await Door.open(
    { stream: { '/etcdserverpb.Watch/Watch': onStream } },
    { maxRequestBytes: 64 << 20 },
  );
  door.web.http.on('request', (_, answer: ServerResponse) => {
    response = answer;
  });
  const answer = await fetch(`${door.url}/v3/watch`, { method: 'POST', body: LARGE.repeat(4) });
  assert.equal(await answer.text(), '');
  assert.equal(listeners.length, 4);
  assert.equal(new Set(listeners).size, 1, String(listeners));
});

/** What Node.js throws when the system gives it no thread. */
function noThread(): never {
  throw Object.assign(new Error('Worker initialization failure: EAGAIN'), { code: 'ERR_WORKER_INIT_FAILED' });
}

function question(): DecodeQuestion {
  return {
    path: '/etcdserverpb.KV/Range',
    form: 'json',
    bytes: Uint8Array.from(Buffer.from('{"key":"YQ=="}')),
  };
}

const NO_THREAD = { code: Code.RESOURCE_EXHAUSTED, message: /no thread/ };
const { signal } = new AbortController();

test('without a thread requests are refused, each in its turn, and read as soon as there is one', async () => {
  let threads = false;
  const decoder = new MessageDecoder(() => (threads ? startDecoder() : noThread()));
  const refused = Array.from({ length: 20_000 }, () => decoder.decode(CLIENT, question(), signal));
  for (const result of await Promise.allSettled(refused)) {
    assert.ok(result.status === 'rejected');
    assert.equal(result.reason.code, NO_THREAD.code);
    assert.match(result.reason.message, NO_THREAD.message);
  }
  assert.equal(decoder.waitingBytes, 0);
  threads = true;
  assert.equal((await decoder.decode(CLIENT, question(), signal)).length, 3);
});

test('a thread that ends while there is no other one: the next request is refused, the one behind it is read', async () => {
  const started: Worker[] = [];
  let starts = 0;
  const decoder = new MessageDecoder(() => {
    if (++starts === 2) noThread();
    const worker = startDecoder();
    started.push(worker);
    return worker;
  });
  const [first, second, third] = [1, 2, 3].map(() => decoder.decode(CLIENT, question(), signal));
  void started[0]?.terminate();
  await assert.rejects(first ?? assert.fail(), { code: Code.RESOURCE_EXHAUSTED, message: /too much memory/ });
  await assert.rejects(second ?? assert.fail(), NO_THREAD);
  assert.equal((await third)?.length, 3);
  assert.equal(starts, 3);
});

test('clients have their turns one after the other, whoever sends how many', async () => {
  const decoder = new MessageDecoder();
  const read: string[] = [];
  const ask = async (name: string, client: object): Promise<void> => {
    await decoder.decode(client, question(), signal);
    read.push(name);
  };
  const [greedy, modest] = [{}, {}];
  await Promise.all([...'abcdefgh'].map((name) => ask(name, greedy)).concat(ask('modest', modest)));
  assert.deepEqual(read.slice(0, 3), ['a', 'b', 'modest']);
  assert.equal(read.length, 9);
});
