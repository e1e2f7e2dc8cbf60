/** What the web door counts for requests, and whom it refuses. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { encodeHeaders } from '../../src/http2/index.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { bridge } from '../../src/web/http2-bridge.ts';
import { EngineServer } from '../http2/support/exchange.ts';
import { END_HEADERS, END_STREAM, frame, rawClient } from '../http2/support/raw-peer.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const PUT = '/etcdserverpb.KV/Put';
const MIB = 1 << 20;

/** A door whose puts are answered when the test says so. */
async function open(limit: number): Promise<{ door: Door; ledger: Ledger; puts: (() => void)[] }> {
  const ledger = new Ledger(limit);
  const puts: (() => void)[] = [];
  const put = () => new Promise<Uint8Array>((resolve) => puts.push(() => resolve(new Uint8Array())));
  const door = await Door.open({ unary: { [PUT]: put } }, { maxRequestBytes: 64 * MIB, ledger });
  return { door, ledger, puts };
}

const post = (length: number, more = '') =>
  `POST ${PUT} HTTP/1.1\r\nhost: a\r\ncontent-type: application/proto\r\ncontent-length: ${length}\r\n${more}\r\n`;

/** Another holder of memory. */
const holder = (refuse: () => number = () => 0) => ({ refuse, onRoomChanged: () => {} });

/** A field of protobuf that etcd does not know, so many bytes long. */
function padding(bytes: number): Buffer {
  const head = Buffer.from([0xfa, 0x3f, 0x80, 0x80, 0x80, 0x00]);
  const length = bytes - head.length;
  for (let i = 0; i < 4; i++) head[2 + i] = ((length >> (7 * i)) & 0x7f) | (i < 3 ? 0x80 : 0);
  return Buffer.concat([head, Buffer.alloc(length)]);
}

test('requests over HTTP/2 count with all that is made for them', async () => {
  const { door, puts } = await open(256 * MIB);
  await using _ = door;
  const ledger = new Ledger(8 * MIB);
  await using server = new EngineServer(bridge(door.web), {}, ledger);
  const peer = rawClient(await server.listen());
  const fields = encodeHeaders([
    ...[':method', 'POST', ':scheme', 'http', ':path', PUT, ':authority', 'a'],
    ...['content-type', 'application/proto'],
  ]);
  const begin = (id: number) => peer.send(frame('HEADERS', END_HEADERS | END_STREAM, id, fields));
  for (let id = 1; id < 200; id += 2) begin(id);
  await until('all arrive', () => puts.length === 100);
  assert.ok(ledger.held > 100 * 20_000, `${ledger.held}`);
  for (let id = 201; id < 1200; id += 2) begin(id);
  assert.ok(await peer.settled());
  assert.ok(ledger.held <= ledger.limit, `${ledger.held}`);
  assert.ok(ledger.refused > 100, `${ledger.refused} refused`);
  await until('the others arrive', () => puts.length + ledger.refused === 600);
  peer.close();
  await until('nothing held', () => ledger.held === 0);
  assert.deepEqual(door.observer.faults, []);
});

describe('requests over HTTP/1.1', () => {
  test('packed ones count what they become, not what they might', async () => {
    const { door, ledger, puts } = await open(256 * MIB);
    await using _ = door;
    const body = gzipSync(JSON.stringify({ value: randomBytes(200_000).toString('base64') }));
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const answers = Array.from({ length: 20 }, () =>
      fetch(door.url + PUT, { method: 'POST', headers, body }).then(({ status }) => status),
    );
    await until('all arrive', () => puts.length === 20);
    assert.ok(ledger.held > 20 * 2 * 260_000 && ledger.held < 40 * MIB, `${ledger.held}`);
    for (const done of puts) done();
    assert.deepEqual([...new Set(await Promise.all(answers))], [200]);
    assert.equal(ledger.refused, 0);
    await until('nothing held', () => ledger.held === 0);
  });

  test('what comes after an early answer is not held', async () => {
    const { door, ledger } = await open(256 * MIB);
    await using _ = door;
    const socket = connect(door.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
    });
    socket.write(`POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: ${MIB}\r\n\r\n`);
    await until('an answer', () => answer.startsWith('HTTP/1.1 404'));
    socket.write(Buffer.alloc(MIB));
    for (let looks = 0; looks < 3; looks++) await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(ledger.held, 0);
    socket.destroy();
  });

  test('one that is complete is not refused, and does not stand for memory that could be let go', async () => {
    const { door, ledger, puts } = await open(10 * MIB);
    await using _ = door;
    const socket = connect(door.port, '127.0.0.1');
    socket.write(post(2 * MIB));
    socket.write(padding(2 * MIB));
    await until('it arrives', () => puts.length === 1);
    let asked = 0;
    const other = ledger.open(holder(() => ++asked));
    other.take(8 * MIB);
    other.makeRoom();
    assert.equal(asked, 1, 'who can let go of something is asked');
    assert.equal(ledger.refused, 0);
    other.close();
    socket.destroy();
  });

  test('of two that were sent at once, the first one goes on when there is room, and then the second', async () => {
    const { door, ledger, puts } = await open(10 * MIB);
    await using _ = door;
    const other = ledger.open(holder());
    other.take(9 * MIB);
    const socket = connect(door.port, '127.0.0.1');
    const size = Math.round(0.45 * MIB);
    socket.write(Buffer.concat([Buffer.from(post(size)), padding(size), Buffer.from(post(0))]));
    await until('the first one waits', () => ledger.heldBack > 0);
    assert.equal(puts.length, 0);
    other.close();
    await until('the first one goes on', () => puts.length === 1);
    puts[0]?.();
    await until('the second one begins', () => puts.length === 2);
    socket.destroy();
  });
});
