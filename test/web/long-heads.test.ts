/** Heads of a MiB, whose parts are read one by one: what nobody sends is not read, so that no head keeps others waiting. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { methodAt } from '../../src/web/gateway/paths.ts';
import { prefersJson } from '../../src/web/kv/accept.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
/** Nearly all that a head may be. */
const LONG = 1_000_000;

/** The status line of the answer to a head, and what follows. */
async function answerTo(door: Door, lines: readonly string[]): Promise<string> {
  const socket = connect(door.port, '127.0.0.1');
  let read = '';
  socket.on('error', () => {});
  socket.on('data', (part: Buffer) => {
    read += part.toString('latin1');
  });
  socket.write(`${[...lines, 'host: localhost'].join('\r\n')}\r\n\r\n`);
  await until('an answer', () => read.includes('\r\n\r\n'));
  socket.destroy();
  return read;
}

describe('a head of a MiB', { timeout: 120_000 }, () => {
  test('blanks between the subprotocols of a WebSocket', async () => {
    await using door = await Door.open();
    const answer = await answerTo(door, [
      'GET /v3/watch HTTP/1.1',
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
      `sec-websocket-protocol: Bearer${' '.repeat(LONG)}\t,token`,
    ]);
    assert.match(answer, /^HTTP\/1\.1 101 /);
  });

  test('parameters', async () => {
    const counts: number[] = [];
    const health = {
      check: async (query: URLSearchParams) => {
        counts.push(query.size);
        return { health: query.get('serializable') === 'true', reason: '' };
      },
      checkProxy: async () => ({ health: true, reason: '' }),
    };
    await using door = await Door.open(
      { unary: { [RANGE]: () => new Uint8Array(0) } },
      { health },
      ({ web }) =>
        web.app.addHook('onRequest', (request, _reply, done) => {
          counts.push(Object.keys(request.query as object).length);
          done();
        }),
    );
    const many = '&a'.repeat(LONG / 2);
    assert.match(await answerTo(door, [`GET /health?serializable=true${many} HTTP/1.1`]), / 200 OK/);
    const message = 'connect=v1&encoding=json&message=%7B%7D';
    assert.match(await answerTo(door, [`GET ${RANGE}?${message}${many} HTTP/1.1`]), / 200 OK/);
    assert.match(await answerTo(door, [`GET ${RANGE}?${many}&${message} HTTP/1.1`]), / 4\d\d /);
    assert.deepEqual(counts, [0, 1000, 0, 0]);
  });

  test('a message in the query', async () => {
    let calls = 0;
    const unary = () => {
      calls++;
      return new Uint8Array(0);
    };
    await using door = await Door.open({ unary: { [RANGE]: unary } }, { maxRequestBytes: 64 << 20 });
    const get = async (length: number): Promise<Response> =>
      await fetch(
        `${door.url}${RANGE}?connect=v1&encoding=proto&base64=1&message=${'IAEgASAB'.repeat(length >> 3)}`,
      );
    const refused = await get(300 << 10);
    assert.equal(refused.status, 429);
    assert.match(await refused.text(), /"resource_exhausted"/);
    assert.deepEqual([calls, door.observer.events], [0, ['started Range', 'handled Range 8']]);
    assert.equal((await get(0)).status, 200);
    assert.equal(calls, 1);
  });

  test('a path', async () => {
    const urls: string[] = [];
    await using door = await Door.open({}, {}, ({ web }) =>
      web.app.addHook('onRequest', (request, _reply, done) => {
        urls.push(request.url);
        done();
      }),
    );
    for (const path of ['/v3/kv/', '/v2/keys/', '/a/'])
      assert.match(await answerTo(door, [`POST ${path}${'%25'.repeat(LONG / 3)} HTTP/1.1`]), / 404 /);
    assert.ok(urls.length === 3 && urls.every(({ length }) => length < 100));
    const host = 'a'.repeat(2000);
    assert.equal(methodAt('/v3/kv/%72ange'), KV.method.range);
    assert.equal(methodAt(`http://${host}/v3/kv/%72ange`), undefined);
  });

  test('types that are accepted', () => {
    assert.equal(prefersJson(`${'a/b,'.repeat(99)}application/json`), true);
    assert.equal(prefersJson(`${'a/b,'.repeat(100)}application/json`), false);
    assert.equal(prefersJson(`application/json${';a'.repeat(LONG / 2)}`), true);
  });

  test('a condition with empty elements', async () => {
    await using door = await Door.open();
    const answer = await answerTo(door, [`GET /kv/a HTTP/1.1`, `if-none-match: ${','.repeat(LONG)}"1"`]);
    assert.match(answer, / 400 /);
    assert.deepEqual(door.observer.events, []);
  });
});
