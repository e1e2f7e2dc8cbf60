/** The server role against curl, nghttp and h2load. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { EngineServer, Exchange, field } from './support/exchange.ts';
import { TRAILERS } from './support/play.ts';
import { missing, run } from './support/tools.ts';

const OK = encodeHeaders([':status', '200', 'content-type', 'text/plain']);

/** Says what was asked for, and sends the content back. */
class Mirror extends Exchange {
  override onEnd(stream: Http2Stream): void {
    const line = `${field(stream.headers, ':method')} ${field(stream.headers, ':path')} `;
    stream.sendReply(OK, Buffer.concat([Buffer.from(line), this.body]), TRAILERS);
  }
}

function mirror(stream: Http2Stream): void {
  stream.listener = new Mirror();
}

test('curl', { skip: missing('curl') }, async () => {
  await using server = new EngineServer(mirror);
  const url = `http://127.0.0.1:${await server.listen()}`;
  assert.equal(await run('curl', '-s', '--http2-prior-knowledge', `${url}/a`, '-d', 'b=c'), 'POST /a b=c');
  // One transfer per run: curl 7.88 fails on any reused prior-knowledge connection, whatever the server.
  const output = await run('curl', '-sv', '--http2-prior-knowledge', `${url}/a`);
  assert.match(output, /grpc-status: 0/);
  const big = 'x'.repeat(100_000);
  assert.equal(
    await run('curl', '-s', '--http2-prior-knowledge', `${url}/${big.slice(0, 9000)}`),
    `GET /${big.slice(0, 9000)} `,
  );
});

test('nghttp, with padding, priorities and several requests at once', {
  skip: missing('nghttp'),
}, async () => {
  await using server = new EngineServer(mirror);
  const url = `http://127.0.0.1:${await server.listen()}`;
  const output = await run('nghttp', '-m', '20', '-b', '7', '-w', '14', `${url}/a`, `${url}/b`);
  assert.equal(output.split('GET /a ').length - 1, 20);
  assert.equal(output.split('GET /b ').length - 1, 20);
});

test('h2load', { skip: missing('h2load') }, async () => {
  await using server = new EngineServer(mirror);
  const url = `http://127.0.0.1:${await server.listen()}/a`;
  for (const window of ['30', '10']) {
    const output = await run(
      'h2load',
      '-c',
      '4',
      '-m',
      '16',
      '-n',
      '10000',
      '-w',
      window,
      '-d',
      'package.json',
      url,
    );
    assert.match(output, /10000 succeeded, 0 failed, 0 errored/);
  }
  for (const connection of server.connections) assert.equal(connection.openStreams, 0);
});
