/** The engine against Go's own HTTP/2 in both roles; the peer is built from `support/go-peer`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { encodeHeaders } from '../../src/http2/index.ts';
import { Echo } from './support/echo.ts';
import { connect, EngineServer, Exchange, field } from './support/exchange.ts';
import { buildGoPeer, missing, run } from './support/tools.ts';

const OK = encodeHeaders([':status', '200', 'trailer', 'grpc-status']);
const POST = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a']);

describe('Go', { skip: missing('go') }, () => {
  test('calls the engine', async () => {
    const peer = await buildGoPeer();
    await using server = new EngineServer((stream) => {
      stream.listener = new Echo();
      stream.sendHeaders(OK);
    });
    assert.equal(await run(peer, 'client', `http://127.0.0.1:${await server.listen()}/`), '');
    assert.deepEqual(server.owners[0]?.failures, []);
  });

  test('is called by the engine', async () => {
    const peer = spawn(await buildGoPeer(), ['server'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(peer.stdout, 'data')) as [Buffer];
    const { owner, connection } = connect(Number(line.toString()));
    await owner.ready;
    const sizes = [0, 1, 260, 70_000, 1 << 22, ...Array.from({ length: 100 }, (_, i) => i * 100)];
    const exchanges = sizes.map((size) => {
      const exchange = new Exchange();
      connection.request(POST, exchange, false).sendData(Buffer.alloc(size, size), true);
      return exchange;
    });
    await Promise.all(exchanges.map((exchange) => exchange.done));
    exchanges.forEach((exchange, i) => {
      const size = sizes[i] ?? 0;
      assert.deepEqual([exchange.code, exchange.bytes], [0, size]);
      assert.ok(exchange.body.equals(Buffer.alloc(size, size)));
      assert.equal(field(exchange.trailers, 'grpc-status'), '0');
    });
    connection.drain();
    await owner.closed;
    peer.kill();
  });
});
