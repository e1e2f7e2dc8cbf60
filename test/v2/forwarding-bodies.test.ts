/** Bodies that go through `/v2`: at whose pace, what is kept of them and counted, and how long is waited for whom. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { connect, Socket } from 'node:net';
import { test } from 'node:test';
import { readBody } from '../../src/web/v2/forwarded-body.ts';
import { collectGarbage } from '../support/garbage.ts';
import { until } from '../support/until.ts';
import { FakeMember, FORM, open, TIMES } from './fake-member.ts';
import { ask } from './http.ts';

test('a large body goes at the pace of the member, and is counted while it waits', async () => {
  let request: IncomingMessage | undefined;
  const member = await FakeMember.start((_, message, response) => {
    request = message;
    message.pause();
    message.on('end', () => response.end('done'));
  });
  await using place = await open([member]);
  const size = 24 << 20;
  const socket = connect(place.door.port, '127.0.0.1');
  socket.write(`PUT /v2/keys/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${size}\r\n\r\n`);
  const chunk = Buffer.alloc(1 << 20, 'x');
  for (let sent = 0; sent < size; sent += chunk.length) socket.write(chunk);
  await until('the member has the head', () => request !== undefined);
  let before = -1;
  let same = 0;
  await until('nobody reads any more', () => {
    const taken = socket.bytesWritten - socket.writableLength;
    same = taken === before ? same + 1 : 0;
    before = taken;
    return same === 10;
  });
  assert.ok(socket.writableLength > 0, 'all of it was read though the member takes nothing');
  let received = 0;
  request?.on('data', (part: Buffer) => {
    received += part.length;
  });
  request?.resume();
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 200 /);
  assert.equal(received, size);
  socket.destroy();
});

/** So many times the usual time-outs are tried, one after the other: on a busy machine a member that answers may look silent. */
const PATIENCE = [1, 15];

test('times: one that is silent, and one that takes nothing, are given up', async () => {
  const silent = await FakeMember.start(() => {});
  const member = await FakeMember.willing();
  let status = 0;
  for (const times of PATIENCE) {
    if (status === 200) break;
    const readTimeout = 300 * times;
    await using place = await open([silent, member], {
      times: { ...TIMES, readTimeout, writeTimeout: readTimeout },
    });
    status = (await ask(`${place.door.url}/v2/keys/a?wait=true`)).status;
  }
  assert.equal(status, 200);
  const deaf = await FakeMember.start((_, request) => void request.socket.pause());
  await using other = await open([deaf], { times: { ...TIMES, writeTimeout: 300 } });
  const socket = connect(other.door.port, '127.0.0.1').on('error', () => {});
  socket.write('PUT /v2/keys/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n');
  const chunk = Buffer.alloc(1 << 20, 'x');
  for (let i = 0; i < 32; i++)
    socket.write(Buffer.concat([Buffer.from('100000\r\n'), chunk, Buffer.from('\r\n')]));
  assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 502 /);
  socket.destroy();
});

test('a client that is slow to send its body is no silence of the member', async () => {
  const member = await FakeMember.willing();
  let answers: string[] = [];
  for (const times of PATIENCE) {
    if (answers.every((status) => status === '200') && answers.length > 0) break;
    await using place = await open([member], { times: { ...TIMES, readTimeout: 200 * times } });
    const socket = connect(place.door.port, '127.0.0.1').on('error', () => {});
    socket.write('PUT /v2/keys/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nvalue');
    setTimeout(() => socket.write('=1234'), 800 * times);
    const [head] = await once(socket, 'data');
    socket.destroy();
    const next = await ask(`${place.door.url}/v2/keys/a`);
    answers = [String(head).slice('HTTP/1.1 '.length).slice(0, 3), String(next.status)];
  }
  assert.deepEqual(answers, ['200', '200']);
});

test('of a body that is coded no coding is lost', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  const headers = { ...FORM, 'Transfer-Encoding': 'gzip, chunked' };
  const { status } = await ask(`${place.door.url}/v2/keys/a`, { method: 'PUT', headers });
  assert.equal(status, 501);
  assert.deepEqual(member.got, []);
});

test('a body of a read that is too large to be kept is refused; one that is no request too', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  const { status, text } = await ask(`${place.door.url}/v2/keys`, {
    headers: FORM,
    body: Buffer.alloc(65_537),
  });
  assert.equal(status, 500);
  assert.match(text, /^{"message":"httpproxy: failed to read request body: larger than 65536 bytes/);
  assert.equal((await ask(`${place.door.url}/v2/keys`)).status, 200);
});

test('a body that is kept takes the memory that it is counted with, however small the parts that it comes in', async () => {
  const raw = new IncomingMessage(new Socket());
  raw.headers['transfer-encoding'] = 'chunked';
  const read = readBody(raw, undefined, true);
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  // Each is a byte of what a socket has read.
  for (let i = 0; i < 500; i++) {
    raw.push(Buffer.alloc(128 << 10).subarray(0, 1));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(raw.readableLength, 0);
  }
  await until('what the socket has read is let go', () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers - before < 16 << 20;
  });
  raw.push(null);
  assert.deepEqual((await read).framing, ['Content-Length', '500']);
});
