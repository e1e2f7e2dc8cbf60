/** What large messages of one client leave behind on its signal: nothing. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { NOBODY } from '../../src/rpc/nobody.ts';
import { OK } from '../../src/rpc/status.ts';
import { methodAt } from '../../src/web/gateway/paths.ts';
import { GatewayReader } from '../../src/web/gateway/request.ts';
import { Door } from './support.ts';

const RANGE = methodAt('/v3/kv/range') ?? assert.fail('no range');
const LARGE = `{"unknown":"${'a'.repeat(300_000)}"}`;

test('no listener stays, whether or not a message can be read', async () => {
  const { signal } = new AbortController();
  const reader = new GatewayReader(RANGE, 64 << 20, () => signal);
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
    stream.listener = { ...NOBODY, onMessage, onHalfClose: () => stream.end(OK) };
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
