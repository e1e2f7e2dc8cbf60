/** The client's half of a call, against a server whose every frame the test writes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientCall, type ClientCallListener, type Ending } from '../../src/grpc/client-call.ts';
import { encodeHeaders } from '../../src/http2/index.ts';
import { END_HEADERS, END_STREAM, frame } from '../http2/support/raw-peer.ts';
import { scene } from '../http2/support/scripted-server.ts';

const REQUEST = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/s/m', ':authority', 'a']);
const RESPONSE = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const TRAILERS = encodeHeaders(['grpc-status', '0']);
const TRAILERS_ONLY = encodeHeaders([
  ':status',
  '200',
  'content-type',
  'application/grpc',
  'grpc-status',
  '7',
]);
const LIMITS = { maxBytes: 1000, tooLarge: () => 'too large' };

class Listener implements ClientCallListener {
  readonly ending = Promise.withResolvers<Ending>();
  onHeaders(): void {}
  onMessage(): void {}
  onDrain(): void {}
  onEnding(ending: Ending): void {
    this.ending.resolve(ending);
  }
}

for (const [name, blocks, code] of [
  ['with trailers', [RESPONSE, TRAILERS], 0],
  ['with trailers only', [TRAILERS_ONLY], 7],
] as const) {
  test(`a server that ends a stream ${name} before the client does leaves no stream behind`, async () => {
    await using played = await scene();
    const { connection, peer } = played;
    await peer.settled();
    const listener = new Listener();
    const call = new ClientCall(connection, REQUEST, listener, LIMITS, Number.POSITIVE_INFINITY, 'peer');
    await peer.nextOf('HEADERS', 1);
    blocks.forEach((block, i) => {
      peer.send(frame('HEADERS', END_HEADERS | (i === blocks.length - 1 ? END_STREAM : 0), 1, block));
    });
    const { status, answered } = await listener.ending.promise;
    assert.deepEqual([status.code, answered], [code, true]);
    assert.equal(await peer.reset(1), 0, 'the client lets go of the stream');
    assert.equal(connection.openStreams, 0);
    call.halfClose();
    call.cancel();
  });
}

test('a unary call ends without a reset', async () => {
  await using played = await scene();
  const { connection, peer } = played;
  await peer.settled();
  const listener = new Listener();
  const call = new ClientCall(connection, REQUEST, listener, LIMITS, Number.POSITIVE_INFINITY, 'peer');
  call.send(Buffer.from('x'), true);
  await peer.nextOf('DATA', 1);
  peer.send(
    frame('HEADERS', END_HEADERS, 1, RESPONSE),
    frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS),
  );
  assert.equal((await listener.ending.promise).status.code, 0);
  assert.equal(await peer.settled(), true);
  assert.ok(!peer.frames.some(({ type }) => type === 'RST_STREAM'));
  assert.equal(connection.openStreams, 0);
});
