/** A recorded session is cut at every byte, in both roles: every stream is closed, nothing throws or hangs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeHeaders, Http2Connection, type Http2Stream, type Role } from '../../src/http2/index.ts';
import { Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { TRAILERS } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { ACK, END_HEADERS, END_STREAM, frame, PADDED, settings, u32 } = raw;
const POST = encodeHeaders([
  ':method',
  'POST',
  ':scheme',
  'http',
  ':path',
  '/x',
  ':authority',
  'a',
  'x-id',
  '7',
]);
const OK = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);

const fromClient = Buffer.concat([
  raw.MAGIC,
  settings([4, 100_000]),
  frame('WINDOW_UPDATE', 0, 0, u32(100_000)),
  frame('SETTINGS', ACK, 0),
  frame('HEADERS', END_HEADERS, 1, POST),
  frame('DATA', 0, 1, Buffer.alloc(50)),
  frame('HEADERS', 0, 3, POST.subarray(0, 10)),
  frame('CONTINUATION', END_HEADERS, 3, POST.subarray(10)),
  frame('PING', 0, 0, Buffer.alloc(8)),
  frame('DATA', PADDED, 3, Buffer.from([3, 1, 2, 0, 0, 0])),
  frame('RST_STREAM', 0, 3, u32(8)),
  frame('DATA', END_STREAM, 1, Buffer.alloc(20)),
  frame('HEADERS', END_HEADERS | END_STREAM, 5, POST),
  frame('GOAWAY', 0, 0, Buffer.alloc(8)),
]);

const fromServer = Buffer.concat([
  settings([3, 100]),
  frame('SETTINGS', ACK, 0),
  frame('HEADERS', END_HEADERS, 1, OK),
  frame('DATA', 0, 1, Buffer.alloc(50)),
  frame('HEADERS', 0, 3, OK.subarray(0, 4)),
  frame('CONTINUATION', END_HEADERS, 3, OK.subarray(4)),
  frame('WINDOW_UPDATE', 0, 3, u32(10)),
  frame('PING', 0, 0, Buffer.alloc(8)),
  frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS),
  frame('RST_STREAM', 0, 5, u32(7)),
  frame('GOAWAY', 0, 0, Buffer.from([0, 0, 0, 3, 0, 0, 0, 0])),
  frame('DATA', END_STREAM, 3, Buffer.alloc(20)),
]);

class Answer extends Exchange {
  override onEnd(stream: Http2Stream): void {
    super.onEnd(stream);
    if (stream.id % 4 === 1 && stream.connection.canOpenStream === false)
      stream.sendReply(OK, this.body, TRAILERS);
  }
}

async function play(role: Role, parts: Buffer[], broken: boolean): Promise<void> {
  const exchanges: Exchange[] = [];
  const add = () => {
    const exchange = new Answer();
    exchanges.push(exchange);
    return exchange;
  };
  const owner = new Owner((stream) => {
    stream.listener = add();
    if (stream.id === 5) stream.pause();
  });
  const socket = new MemorySocket();
  const connection = new Http2Connection(socket.socket, role, owner, { initialWindowSize: 64 });
  if (role === 'client') for (let i = 0; i < 3; i++) connection.request(POST, add(), i !== 1);
  for (const part of parts) {
    if (part.length > 0) socket.push(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (broken) socket.destroy(new Error('ECONNRESET'));
  else socket.push(null);
  await owner.closed;
  assert.equal(owner.closes, 1);
  assert.deepEqual(owner.failures, []);
  assert.equal(connection.openStreams, 0);
  assert.equal(connection.scheduler.queued, 0);
  assert.equal(connection.receiver.held, 0);
  for (const exchange of exchanges) {
    assert.equal(exchange.events.filter((event) => event === 'close').length, 1);
    assert.equal(exchange.events.at(-1), 'close');
  }
}

for (const [role, session] of [
  ['server', fromClient],
  ['client', fromServer],
] as const) {
  describe(`${role} role`, () => {
    for (const broken of [false, true]) {
      test(`cut at each of ${session.length} bytes, ${broken ? 'with an error' : 'with an end'}`, async () => {
        for (let cut = 0; cut <= session.length; cut++) await play(role, [session.subarray(0, cut)], broken);
      });
    }

    test('split in two at each byte, then whole', async () => {
      for (let cut = 0; cut <= session.length; cut++) {
        await play(role, [session.subarray(0, cut), session.subarray(cut)], false);
      }
    });
  });
}
