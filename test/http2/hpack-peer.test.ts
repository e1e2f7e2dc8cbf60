/**
 * HPACK against an independent implementation: the encoder and decoder of node:http2 (nghttp2), which uses
 * the dynamic table. One connection carries all runs, so that a slip of the table's state shows up later.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { connect, EngineServer, Exchange } from './support/exchange.ts';
import { OK, TRAILERS } from './support/play.ts';

const name = fc
  .string({
    unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789-_.'),
    minLength: 1,
    maxLength: 12,
  })
  .map((text) => `x-${text}`);
const octet = fc.oneof(fc.integer({ min: 0x21, max: 0x7e }), fc.integer({ min: 0xa1, max: 0xff }));
const character = octet.map((code) => String.fromCharCode(code));
// Few values for most names, so that fields repeat and the tables are used; some long enough to evict.
const value = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('1', 'application/grpc', 'trailers', 'a b') },
  { weight: 4, arbitrary: fc.string({ unit: character, maxLength: 30 }) },
  { weight: 1, arbitrary: fc.string({ unit: character, minLength: 500, maxLength: 3000 }) },
);
const fields = fc.uniqueArray(fc.tuple(name, value), { maxLength: 12, selector: ([key]) => key });

function lookup(list: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]?.startsWith('x-')) found.set(list[i] as string, list[i + 1] as string);
  }
  return found;
}

class Reply extends Exchange {
  override onEnd(stream: Http2Stream): void {
    stream.sendReply(OK, Buffer.alloc(0), TRAILERS);
  }
}

test('what nghttp2 encodes, the engine decodes', async () => {
  let seen: readonly string[] = [];
  await using server = new EngineServer((stream) => {
    seen = stream.headers;
    stream.listener = new Reply();
  });
  const session = http2.connect(`http://127.0.0.1:${await server.listen()}`);
  const send = async (pairs: [string, string][], sensitive: boolean) => {
    const headers: http2.OutgoingHttpHeaders = { ':path': '/', ...Object.fromEntries(pairs) };
    const secret = sensitive ? { [http2.sensitiveHeaders]: pairs.map(([key]) => key) } : {};
    const request = session.request({ ...headers, ...secret });
    request.end();
    await request.toArray();
    assert.deepEqual(lookup(seen), new Map(pairs));
  };
  // Each list is sent four times: inserted, then from the table, then remembered, then from the memo.
  const run = async (pairs: [string, string][], sensitive: boolean) => {
    for (let i = 0; i < 4; i++) await send(pairs, sensitive);
  };
  await fc.assert(fc.asyncProperty(fields, fc.boolean(), run), { numRuns: 200 });
  session.close();
  await once(session, 'close');
});

test('what the engine encodes, nghttp2 decodes', async () => {
  const server = http2.createServer();
  let seen: readonly string[] = [];
  server.on('stream', (stream: http2.ServerHttp2Stream, _headers, _flags, raw: string[]) => {
    seen = raw;
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { owner, connection } = connect((server.address() as net.AddressInfo).port);
  await owner.ready;
  const fixed = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
  const run = async (pairs: [string, string][], sensitive: boolean) => {
    const never = sensitive ? new Set(pairs.map(([key]) => key)) : undefined;
    const exchange = new Exchange();
    connection.request(encodeHeaders([...fixed, ...pairs.flat()], never), exchange, true);
    await exchange.done;
    assert.equal(exchange.code, 0);
    assert.deepEqual(lookup(seen), new Map(pairs));
  };
  await fc.assert(fc.asyncProperty(fields, fc.boolean(), run), { numRuns: 300 });
  connection.drain();
  await owner.closed;
  server.close();
});
