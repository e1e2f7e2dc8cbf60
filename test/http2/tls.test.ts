/** Both roles over TLS: ALPN, large messages, and a handshake that fails. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import type net from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import { encodeHeaders, Http2Connection } from '../../src/http2/index.ts';
import { tempDir } from '../support/process.ts';
import { Echo } from './support/echo.ts';
import { Exchange, Owner } from './support/exchange.ts';
import { OK } from './support/play.ts';
import { missing } from './support/tools.ts';

const POST = encodeHeaders([':method', 'POST', ':scheme', 'https', ':path', '/x', ':authority', 'a']);

describe('over TLS', { skip: missing('openssl') }, async () => {
  const folder = await tempDir('http2-tls');
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  const kind = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
  ];
  spawnSync('openssl', ['req', '-x509', '-nodes', ...kind, ...files]);
  const key = readFileSync(join(folder, 'key.pem'));
  const cert = readFileSync(join(folder, 'cert.pem'));

  async function listen(owners: Owner[]): Promise<tls.Server> {
    const server = tls.createServer({ key, cert, ALPNProtocols: ['h2'] }, (socket) => {
      const owner = new Owner((stream) => {
        stream.listener = new Echo();
        stream.sendHeaders(OK);
      });
      owners.push(owner);
      new Http2Connection(socket, 'server', owner);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }

  test('engine to engine, begun before the handshake is done, 0 bytes to 8 MiB', async () => {
    const owners: Owner[] = [];
    const server = await listen(owners);
    const { port } = server.address() as net.AddressInfo;
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      ca: cert,
      servername: 'localhost',
      ALPNProtocols: ['h2'],
    });
    const owner = new Owner();
    const connection = new Http2Connection(socket, 'client', owner);
    for (const size of [0, 1, 20_000, 8 << 20]) {
      const exchange = new Exchange();
      connection.request(POST, exchange, false).sendData(Buffer.alloc(size, 7), true);
      await exchange.done;
      assert.deepEqual([exchange.code, exchange.bytes], [0, size]);
      assert.ok(exchange.body.equals(Buffer.alloc(size, 7)));
    }
    assert.equal(socket.alpnProtocol, 'h2');
    connection.drain();
    await owner.closed;
    await owners[0]?.closed;
    assert.deepEqual(owners[0]?.failures, []);
    server.close();
  });

  test('many small calls at once from node:http2', async () => {
    const owners: Owner[] = [];
    const server = await listen(owners);
    const { port } = server.address() as net.AddressInfo;
    const session = http2.connect(`https://127.0.0.1:${port}`, { ca: cert, servername: 'localhost' });
    const bodies = await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const request = session.request({ ':method': 'POST', ':path': '/' });
        request.end(`message ${i}`);
        return Buffer.concat(await request.toArray()).toString();
      }),
    );
    bodies.forEach((body, i) => {
      assert.equal(body, `message ${i}`);
    });
    session.close();
    await owners[0]?.closed;
    server.close();
  });

  test('a handshake that fails: nothing was processed', async () => {
    const server = await listen([]);
    const { port } = server.address() as net.AddressInfo;
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ALPNProtocols: ['h2'] });
    const owner = new Owner();
    const connection = new Http2Connection(socket, 'client', owner);
    const exchange = new Exchange();
    const stream = connection.request(POST, exchange, true);
    await owner.closed;
    assert.match(owner.error?.message ?? '', /self-signed/);
    assert.deepEqual([stream.unprocessed, exchange.events], [true, ['close']]);
    server.close();
  });
});
