/** What is no proper request is answered in the terms of its protocol; nothing of it reaches a service. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const TXN = '/etcdserverpb.KV/Txn';
const OBSERVE = '/v3electionpb.Election/Observe';
const GRPC_WEB = 'application/grpc-web+proto';
const MAX = 64 * 1024;

interface BadRequest {
  readonly name: string;
  readonly path?: string;
  readonly method?: string;
  readonly type?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Expected HTTP status and text within the body. */
  readonly status: number;
  readonly says: RegExp;
}

function envelope(flags: number, length: number, data: Uint8Array | string = ''): Buffer<ArrayBuffer> {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, Buffer.from(data)]);
}

const json = (depth: number): string =>
  `${'{"success":[{"requestTxn":'.repeat(depth)}{}${'}]}'.repeat(depth)}`;
const TRUNCATED = Buffer.from([0x0a, 0x7f, 1]);
const QUERY = `${RANGE}?connect=v1`;

/** Requests that Connect answers with a JSON error. */
const CONNECT: readonly BadRequest[] = [
  { name: 'empty JSON', body: '', status: 400, says: /"invalid_argument"/ },
  { name: 'cut JSON', body: '{"key":', status: 400, says: /"invalid_argument"/ },
  { name: 'JSON of another shape', body: '[1,2]', status: 400, says: /"invalid_argument"/ },
  { name: 'JSON null', body: 'null', status: 400, says: /"invalid_argument"/ },
  { name: 'bad base64', body: '{"key":"%%%"}', status: 400, says: /"invalid_argument"/ },
  {
    name: 'number too large',
    body: '{"limit":"99999999999999999999"}',
    status: 400,
    says: /"invalid_argument"/,
  },
  { name: 'half a character', body: '{"key":"\\ud800"}', status: 400, says: /"invalid_argument"/ },
  {
    name: 'JSON that is not UTF-8',
    body: Buffer.from([0x7b, 0xff, 0x7d]),
    status: 400,
    says: /"invalid_argument"/,
  },
  { name: 'deep JSON', path: TXN, body: json(400), status: 400, says: /"invalid_argument"/ },
  { name: 'deep JSON lists', body: '['.repeat(30_000), status: 400, says: /"invalid_argument"/ },
  {
    name: 'cut protobuf',
    type: 'application/proto',
    body: TRUNCATED,
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'wrong wire type',
    type: 'application/proto',
    body: Buffer.from([0x0f]),
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'field zero',
    type: 'application/proto',
    body: Buffer.from([0x00, 0x01]),
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'endless varint',
    type: 'application/proto',
    body: Buffer.alloc(50, 0xff),
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'open groups',
    type: 'application/proto',
    body: Buffer.alloc(60_000, 0x0b),
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'no gzip',
    headers: { 'content-encoding': 'gzip' },
    body: '{}',
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'cut gzip',
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync('{"key":"YQ=="}').subarray(0, 20) as Buffer<ArrayBuffer>,
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'unknown compression',
    headers: { 'content-encoding': 'zstd' },
    body: '{}',
    status: 501,
    says: /"unimplemented"/,
  },
  {
    name: 'too large',
    body: JSON.stringify({ key: Buffer.alloc(MAX + 1).toString('base64') }),
    status: 429,
    says: /"resource_exhausted"/,
  },
  {
    name: 'too large with what JSON adds',
    body: ' '.repeat(3 * MAX + 1),
    status: 429,
    says: /"resource_exhausted"/,
  },
  {
    name: 'too large as protobuf',
    type: 'application/proto',
    body: Buffer.concat([Buffer.from([0x0a, 0x80, 0x80, 0x04]), Buffer.alloc(MAX)]),
    status: 429,
    says: /"resource_exhausted"/,
  },
  {
    name: 'too large once unpacked',
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync(Buffer.alloc(3 * MAX + 1, 0x20)) as Buffer<ArrayBuffer>,
    status: 429,
    says: /"resource_exhausted"/,
  },
  {
    name: 'no timeout',
    headers: { 'connect-timeout-ms': 'soon' },
    body: '{}',
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'negative timeout',
    headers: { 'connect-timeout-ms': '-1' },
    body: '{}',
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'bad base64 in a query',
    method: 'GET',
    path: `${QUERY}&encoding=proto&base64=1&message=***`,
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'cut protobuf in a query',
    method: 'GET',
    path: `${QUERY}&encoding=proto&base64=1&message=CoA`,
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'bad escape in a query',
    method: 'GET',
    path: `${QUERY}&encoding=json&message=%E0%A4`,
    status: 400,
    says: /"invalid_argument"/,
  },
  {
    name: 'no encoding in a query',
    method: 'GET',
    path: QUERY,
    status: 415,
    says: /supported content types/,
  },
  { name: 'another method', method: 'PUT', body: '{}', status: 405, says: /^$/ },
  {
    name: 'another content type',
    type: 'text/html',
    body: '{}',
    status: 415,
    says: /supported content types/,
  },
  { name: 'no content type', type: '', body: '{}', status: 415, says: /supported content types/ },
  { name: 'content type of no form', type: '/;;', body: '{}', status: 415, says: /./ },
  {
    name: 'base64 gRPC-Web of a form that is none',
    type: 'application/grpc-web-text+thrift',
    body: 'AAAAAAA=',
    status: 415,
    says: /supported content types/,
  },
  {
    name: 'stream of a unary method',
    type: 'application/connect+json',
    body: envelope(0, 2, '{}'),
    status: 415,
    says: /supported/,
  },
  { name: 'unary of a stream method', path: OBSERVE, body: '{}', status: 415, says: /supported/ },
];

/** Requests that gRPC-Web and Connect streams answer with an end of stream, HTTP status 200. */
const ENVELOPED: readonly BadRequest[] = [
  { name: 'nothing', body: '', status: 200, says: /grpc-status: 12\r/ },
  { name: 'cut head', body: Buffer.alloc(3), status: 200, says: /grpc-status: 3\r/ },
  { name: 'cut message', body: envelope(0, 10, 'abc'), status: 200, says: /grpc-status: 3\r/ },
  { name: 'huge length', body: envelope(0, 0xffff_ffff, 'abc'), status: 200, says: /grpc-status: 8\r/ },
  {
    name: 'too large',
    body: envelope(0, 3 * MAX + 1, Buffer.alloc(3 * MAX + 1)),
    status: 200,
    says: /grpc-status: 8\r/,
  },
  {
    name: 'compressed without saying how',
    body: envelope(1, 0),
    status: 200,
    says: /grpc-status: (?:3|13)\r/,
  },
  {
    name: 'two messages',
    body: Buffer.concat([envelope(0, 0), envelope(0, 0)]),
    status: 200,
    says: /grpc-status: 12\r/,
  },
  { name: 'cut protobuf', body: envelope(0, 3, TRUNCATED), status: 200, says: /grpc-status: 3\r/ },
  {
    name: 'no timeout',
    headers: { 'grpc-timeout': '1x' },
    body: envelope(0, 0),
    status: 200,
    says: /grpc-status: 3\r/,
  },
  {
    name: 'unknown compression',
    headers: { 'grpc-encoding': 'zstd' },
    body: envelope(0, 0),
    status: 200,
    says: /grpc-status: 12\r/,
  },
  {
    name: 'bad JSON',
    type: 'application/grpc-web+json',
    body: envelope(0, 1, '{'),
    status: 200,
    says: /grpc-status: 3\r/,
  },
  {
    name: 'half a character',
    type: 'application/grpc-web+json',
    body: envelope(0, 16, '{"key":"\\ud800"}'),
    status: 200,
    says: /grpc-status: 3\r/,
  },
  {
    name: 'half a character as a number',
    type: 'application/grpc-web+json',
    body: envelope(0, 18, '{"limit":"\\ud800"}'),
    status: 200,
    says: /grpc-status: 3\r/,
  },
  {
    name: 'cut protobuf',
    path: OBSERVE,
    body: envelope(0, 3, TRUNCATED),
    status: 200,
    says: /grpc-status: 3\r/,
  },
  {
    name: 'cut protobuf in a Connect stream',
    path: OBSERVE,
    type: 'application/connect+proto',
    body: envelope(0, 3, TRUNCATED),
    status: 200,
    says: /"invalid_argument"/,
  },
  {
    name: 'bad JSON in a Connect stream',
    path: OBSERVE,
    type: 'application/connect+json',
    body: envelope(0, 1, '{'),
    status: 200,
    says: /"invalid_argument"/,
  },
  { name: 'another method', method: 'GET', path: OBSERVE, status: 405, says: /^$/ },
];

const TEXT = 'application/grpc-web-text';

/** What base64 with padding anywhere stands for. */
const ofGroups = (text: string): string =>
  (text.match(/.{4}/g) ?? []).map((group) => Buffer.from(group, 'base64').toString('latin1')).join('');

async function check(door: Door, base: string, type: string, bad: BadRequest): Promise<void> {
  const contentType = bad.type ?? type;
  const init: RequestInit = { method: bad.method ?? 'POST', headers: { ...bad.headers } };
  if (bad.body !== undefined) {
    init.body = Buffer.from(bad.body as string);
    if (contentType !== '') init.headers = { ...init.headers, 'content-type': contentType };
  }
  const response = await fetch(base + (bad.path ?? RANGE), init);
  const received = await response.text();
  const body = type === TEXT ? ofGroups(received) : received;
  assert.equal(response.status, bad.status, `${bad.name}: ${response.status} ${body}`);
  assert.match(body, bad.says, bad.name);
  assert.deepEqual(door.observer.faults, [], bad.name);
  const events = door.observer.events.splice(0);
  assert.deepEqual(
    events.filter((event) => event.startsWith('sent')),
    [],
    bad.name,
  );
  assert.equal(
    events.filter((event) => event.startsWith('started')).length,
    events.filter((event) => event.startsWith('handled')).length,
    `${bad.name}: ${events}`,
  );
}

test('bad input gets the error of its protocol', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => assert.fail(), [TXN]: () => assert.fail() } });
  for (const bad of CONNECT) await check(door, door.url, 'application/json', bad);
  for (const bad of ENVELOPED) await check(door, door.url, GRPC_WEB, bad);
  for (const bad of ENVELOPED.filter(({ type, body }) => type === undefined && body !== undefined)) {
    const body = Buffer.from(bad.body as string).toString('base64');
    await check(door, door.url, TEXT, { ...bad, name: `${bad.name}, as text`, body });
  }
  const good = await door.postJson('/health', '{}');
  assert.equal(good.status, 405, 'still there');
});

test('a message that grows too large is refused before it was read to its end', async () => {
  await using door = await Door.open({});
  const socket = connect(door.port, '127.0.0.1');
  const head = `POST ${RANGE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;
  socket.write(`${head}content-length: 1000000000\r\n\r\n{"key":"`);
  let answer = '';
  for await (const chunk of socket) {
    answer += chunk;
    if (answer.includes('resource_exhausted')) break;
  }
  assert.match(answer, /^HTTP\/1.1 429 /);
});

test('bytes that are no HTTP close the connection, with an answer if they begin like HTTP', async () => {
  await using door = await Door.open({});
  const exchange = async (bytes: string): Promise<string> => {
    const socket = connect(door.port, '127.0.0.1');
    socket.write(bytes);
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    return answer;
  };
  assert.match(await exchange('GET / HTTP/9.9\r\n\r\n'), /^HTTP\/1.1 400 /);
  assert.match(await exchange('GET / HTTP/1.1\r\nbad header\r\n\r\n'), /^HTTP\/1.1 400 /);
  assert.equal(await exchange('\0\0\0\0\r\n\r\n'), '');
  assert.match(await exchange('BREW / HTTP/1.1\r\n\r\n'), /^HTTP\/1.1 501 /);
  assert.deepEqual(door.observer.faults, []);
});

test('headers without end are not read without end', async () => {
  await using door = await Door.open({});
  const socket = connect(door.port, '127.0.0.1');
  socket.on('error', () => {
    // The close may overtake the answer while this side still writes.
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('GET / HTTP/1.1\r\n');
  const writing = setInterval(() => socket.write(`x: ${'y'.repeat(8000)}\r\n`), 5);
  await closed;
  clearInterval(writing);
  assert.ok(socket.bytesWritten < 1_500_000);
});
