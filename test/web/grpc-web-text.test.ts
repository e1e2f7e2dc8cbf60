/** gRPC-Web in its text form: requests in base64 of any shape, answers flushed message by message, each padded. */
import assert from 'node:assert/strict';
import { type ClientRequest, request } from 'node:http';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { Code, OK, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const PUT = '/etcdserverpb.KV/Put';
const WATCH = '/etcdconnect.v1.Browser/Watch';
const TEXT = 'application/grpc-web-text';

const putOf = (value: string): Uint8Array =>
  toBinary(PutRequestSchema, create(PutRequestSchema, { key: Buffer.from('k'), value: Buffer.from(value) }));

function frame(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The bytes of base64 in pieces, each with its own padding. */
const bytesOf = (text: string): Buffer => {
  assert.equal(text.length % 4, 0, `not whole groups: ${text}`);
  assert.match(text, /^[A-Za-z0-9+/=]*$/);
  return Buffer.concat((text.match(/.{4}/g) ?? []).map((group) => Buffer.from(group, 'base64')));
};

/** The messages and the trailers in bytes. */
function framesOf(bytes: Buffer): { messages: Buffer[]; trailers: string } {
  const messages: Buffer[] = [];
  let trailers = '';
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (bytes[at] === 0x80) trailers += bytes.toString('latin1', at + 5, end);
    else messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return { messages, trailers };
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** Posts a body in pieces, each a chunk of its own. */
function post(door: Door, path: string, pieces: readonly string[], headers: Record<string, string> = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const asked: ClientRequest = request(
    `${door.url}${path}`,
    { method: 'POST', agent: false, headers: { 'content-type': TEXT, 'x-grpc-web': '1', ...headers } },
    (response) => {
      let text = '';
      response.setEncoding('latin1');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    },
  );
  asked.on('error', reject);
  asked.setNoDelay(true);
  asked.flushHeaders();
  for (const piece of pieces) asked.write(piece);
  asked.end();
  return promise;
}

const echo = { unary: { [PUT]: (bytes: Uint8Array) => Uint8Array.from([...bytes]) } };
/** PutRequest's bytes are no PutResponse; a reply that any request may have. */
const reply = toBinary(RangeResponseSchema, create(RangeResponseSchema, { count: 5n }));

test('requests in any pieces of base64, padded anywhere', async () => {
  const got: string[] = [];
  const services = {
    unary: {
      [PUT]: (bytes: Uint8Array) => {
        got.push(Buffer.from(bytes).toString('hex'));
        return new Uint8Array(0);
      },
    },
  };
  await using door = await Door.open(services);
  for (const value of ['', 'a', 'ab', 'abc', 'x'.repeat(500)]) {
    const message = putOf(value);
    const framed = frame(message);
    const whole = framed.toString('base64');
    const shapes: string[][] = [
      [whole],
      whole.slice(0, 60).split(''),
      [framed.subarray(0, 1), framed.subarray(1, 3), framed.subarray(3)].map((part) =>
        part.toString('base64'),
      ),
      [[framed.subarray(0, 5), framed.subarray(5)].map((part) => part.toString('base64')).join('')],
      [...framed].map((byte) => Buffer.of(byte).toString('base64')),
    ];
    if (whole.length > 60) shapes[1]?.push(whole.slice(60));
    for (const pieces of shapes) {
      const { status, headers, text } = await post(door, PUT, pieces);
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'application/grpc-web-text+proto');
      const { messages, trailers } = framesOf(bytesOf(text));
      assert.deepEqual(messages, [Buffer.alloc(0)]);
      assert.match(trailers, /^grpc-status: ?0\r\n/m);
      assert.equal(got.pop(), Buffer.from(message).toString('hex'));
    }
  }
});

test('the content types of the text form, and which form the answer has', async () => {
  await using door = await Door.open({ unary: { [PUT]: () => new Uint8Array(0) } });
  const binary = frame(putOf('a'));
  const text = binary.toString('base64');
  const textual = 'application/grpc-web-text+proto';
  for (const [type, accept, expected] of [
    [TEXT, undefined, textual],
    [textual, undefined, textual],
    ['Application/GRPC-Web-Text', undefined, textual],
    [TEXT, '*/*', textual],
    [TEXT, TEXT, textual],
    [TEXT, textual, textual],
    [TEXT, 'application/grpc-web+proto', 'application/grpc-web+proto'],
    ['application/grpc-web', TEXT, textual],
    ['application/grpc-web+proto', `text/plain, ${textual};q=1`, textual],
    ['application/grpc-web+proto', undefined, 'application/grpc-web+proto'],
  ] as const) {
    const body = /text/i.test(type) ? text : binary;
    const headers = { 'content-type': type, ...(accept === undefined ? {} : { accept }) };
    const response = await fetch(door.url + PUT, { method: 'POST', headers, body });
    assert.equal(response.headers.get('content-type'), expected, `${type} ${accept}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    const { trailers } = framesOf(expected === textual ? bytesOf(bytes.toString('latin1')) : bytes);
    assert.match(trailers, /grpc-status: ?0/);
  }
  const json = await post(door, PUT, [frame(Buffer.from('{}')).toString('base64')], {
    'content-type': `${TEXT}+json`,
  });
  assert.equal(json.headers['content-type'], `${TEXT}+json`);
  assert.equal(framesOf(bytesOf(json.text)).messages.toString(), '{}');
  const other = await post(door, PUT, [text], { 'content-type': `${TEXT}+thrift` });
  assert.equal(other.status, 415);
  assert.match(other.text, /application\/grpc-web-text\+proto/);
});

test('what is no base64, or cut short, is the mistake of the client', async () => {
  await using door = await Door.open(echo);
  const good = frame(putOf('abc')).toString('base64');
  for (const [name, body] of Object.entries({
    'no base64': '!!!!',
    'no base64 after some': `${good.slice(0, 8)}\0\0\0\0`,
    'a line feed': `${good.slice(0, 8)}\n${good.slice(8)}`,
    'the alphabet of URLs': '-_-_',
    'padding in the middle of a group': 'A=AA',
    'too much padding': 'A===',
    'cut within a group': good.slice(0, -1),
    'cut between groups': good.slice(0, -4),
  })) {
    const { status, headers, text } = await post(door, PUT, [body]);
    assert.equal(status, 200, name);
    const told = `${headers['grpc-status'] ?? ''}${framesOf(bytesOf(text)).trailers}`;
    assert.match(told, /^3|grpc-status: ?3/, `${name}: ${told}`);
  }
  assert.deepEqual(door.observer.faults, []);
});

test('a stream arrives message by message, and its end with a status', async () => {
  let client: ServerStream | undefined;
  const stream = {
    [WATCH]: (opened: ServerStream) => {
      client = opened;
    },
  };
  await using door = await Door.open({ stream });
  let text = '';
  let ended = false;
  const asked = request(
    `${door.url}${WATCH}`,
    { method: 'POST', headers: { 'content-type': TEXT } },
    (response) => {
      response.setEncoding('latin1');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        ended = true;
      });
    },
  );
  asked.end(frame(new Uint8Array(0)).toString('base64'));
  await until('the stream', () => client !== undefined);
  const messages = [
    Uint8Array.of(0x10, 1),
    Uint8Array.of(0x10, 2, 0x18, 1),
    Uint8Array.of(0x10, 3),
    new Uint8Array(0),
  ];
  for (let i = 0; i < messages.length; i++) {
    client?.send(messages[i] as Uint8Array);
    await until(
      `message ${i}`,
      () => text.length % 4 === 0 && framesOf(bytesOf(text)).messages.length === i + 1,
    );
  }
  const padded = (text.match(/=+(?=[^=])/g) ?? []).length;
  assert.ok(padded >= 2, `each message has its own padding: ${text}`);
  client?.end(new RpcError(Code.OUT_OF_RANGE, 'gone: 100 %'));
  await until('the end', () => ended);
  const { trailers } = framesOf(bytesOf(text));
  assert.match(trailers, /grpc-status: ?11\r\n/);
  assert.equal(decodeURIComponent(/grpc-message: ?(\S+)\r/.exec(trailers)?.[1] ?? ''), 'gone: 100 %');
});

test('over HTTP/2 too', async () => {
  const stream = {
    [WATCH]: (client: ServerStream) => {
      client.send(Uint8Array.of(0x18, 1));
      client.end(OK);
    },
  };
  await using door = await Door.open({ stream });
  const session = connect(door.http2Url);
  const asked = session.request({ ':method': 'POST', ':path': WATCH, 'content-type': TEXT });
  asked.end(frame(new Uint8Array(0)).toString('base64'));
  let text = '';
  asked.setEncoding('latin1');
  for await (const chunk of asked) text += chunk;
  session.destroy();
  const { messages, trailers } = framesOf(bytesOf(text));
  assert.deepEqual(messages, [Buffer.of(0x18, 1)]);
  assert.match(trailers, /grpc-status: ?0/);
});

test('a large message is still one message', async () => {
  const large = Buffer.concat([Buffer.from([0x7a, 0x80, 0x80, 0x40]), Buffer.alloc(1 << 20)]);
  const services = {
    stream: {
      [WATCH]: (client: ServerStream) => {
        client.send(large);
        client.end(OK);
      },
    },
  };
  await using door = await Door.open(services);
  const { text } = await post(door, WATCH, [frame(new Uint8Array(0)).toString('base64')]);
  const { messages, trailers } = framesOf(bytesOf(text));
  assert.deepEqual(
    messages.map(({ length }) => length),
    [large.length],
  );
  assert.match(trailers, /grpc-status: ?0/);
});

test('unknown and bidirectional methods, and requests that are too large', async () => {
  await using door = await Door.open({ unary: { [PUT]: () => reply } }, { maxRequestBytes: 100 });
  for (const path of ['/etcdserverpb.KV/Nothing', '/etcdserverpb.Watch/Watch']) {
    const { status, headers } = await post(door, path, [frame(new Uint8Array(0)).toString('base64')]);
    assert.deepEqual([status, headers['content-type'], headers['grpc-status']], [200, TEXT, '12'], path);
  }
  const { text } = await post(door, PUT, [frame(putOf('x'.repeat(100))).toString('base64')]);
  assert.match(framesOf(bytesOf(text)).trailers, /grpc-status: ?8/);
});

test("a browser may send all that Google's client sends, and read all that it reads", async () => {
  const origin = 'https://app.example';
  await using door = await Door.open(echo, { corsAllowedOrigins: [origin] });
  const asked = await fetch(door.url + PUT, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent',
    },
  });
  assert.equal(asked.status, 204);
  const allowed = (asked.headers.get('access-control-allow-headers') ?? '').split(/, */);
  for (const name of ['authorization', 'content-type', 'grpc-timeout', 'x-grpc-web', 'x-user-agent'])
    assert.ok(allowed.includes(name), name);
  const { headers } = await post(door, PUT, [frame(putOf('a')).toString('base64')], { origin });
  const exposed = String(headers['access-control-expose-headers']).toLowerCase().split(/, */);
  for (const name of ['grpc-status', 'grpc-message', 'grpc-status-details-bin'])
    assert.ok(exposed.includes(name), name);
});
