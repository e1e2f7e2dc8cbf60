/** HTTP/2 requests that are not gRPC, from a client of Node.js through the HTTP/2 engine to the web door. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2';
import { test } from 'node:test';
import type { Call } from '../../src/rpc/contract.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array | string,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  let received: Answer['headers'] = {};
  stream.on('response', (fields) => {
    received = fields as Answer['headers'];
  });
  let text = '';
  for await (const chunk of stream) text += chunk;
  return { status: Number(received[':status']), headers: received, body: text };
}

async function withSession(door: Door, use: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
  const session = connect(door.http2Url);
  try {
    await use(session);
  } finally {
    session.destroy();
  }
  assert.deepEqual(door.observer.faults, []);
}

test('pages and RPCs answer over HTTP/2, without the fields of HTTP/1.1', async () => {
  const calls: Call[] = [];
  await using door = await Door.open({
    unary: {
      [RANGE]: (_, call) => {
        calls.push(call);
        call.responseHeaders = new Metadata(['x-head', 'h']);
        return new Uint8Array(0);
      },
    },
  });
  await withSession(door, async (session) => {
    const health = await ask(session, { ':path': '/health' });
    assert.equal(health.status, 200);
    assert.equal(health.body, '{"health":"true","reason":""}');
    assert.equal((await ask(session, { ':path': '/health', ':method': 'HEAD' })).status, 405);
    assert.equal((await ask(session, { ':path': '/nope' })).status, 404);
    const range = await ask(
      session,
      {
        ':path': RANGE,
        ':method': 'POST',
        'content-type': 'application/json',
        'content-length': 2,
        'x-custom': ['one', 'two'],
        cookie: 'a=b',
        te: 'trailers',
      },
      '{}',
    );
    assert.equal(range.status, 200);
    assert.equal(range.body, '{}');
    assert.equal(range.headers['x-head'], 'h');
    for (const name of ['connection', 'keep-alive', 'transfer-encoding']) {
      assert.equal(range.headers[name], undefined, name);
    }
    const { fields } = calls[0]?.metadata ?? assert.fail();
    assert.equal(fields.join(), ['x-custom', 'one', 'x-custom', 'two'].join());
  });
});

test('a request that had to wait keeps its body', async () => {
  const requests: string[] = [];
  const http2 = { maxResetsPerSecond: 1, maxResetsBurst: 1 };
  const range = (request: Uint8Array): Uint8Array => {
    requests.push(Buffer.from(request).toString('hex'));
    return new Uint8Array(0);
  };
  await using door = await Door.open({ unary: { [RANGE]: range } }, { http2 });
  const headers = { ':path': RANGE, ':method': 'POST', 'content-type': 'application/json' };
  await withSession(door, async (session) => {
    for (let i = 0; i < 10; i++) {
      const given = session.request(headers, { endStream: false });
      if (given.pending) await once(given, 'ready');
      given.on('error', () => {});
      given.close(constants.NGHTTP2_CANCEL);
    }
    for (let i = 0; i < 3; i++) assert.equal((await ask(session, headers, '{"key":"aw=="}')).status, 200);
    assert.equal((await ask(session, { ':path': '/health' })).status, 200);
  });
  assert.deepEqual(requests, ['0a016b', '0a016b', '0a016b']);
});

test('a bidirectional stream is refused, and the connection lives on', async () => {
  await using door = await Door.open();
  await withSession(door, async (session) => {
    const headers = {
      ':path': '/etcdserverpb.Watch/Watch',
      ':method': 'POST',
      'content-type': 'application/connect+json',
    };
    const refused = await ask(session, headers, Buffer.alloc(5));
    assert.equal(refused.status, 505);
    assert.match(refused.body, /"unimplemented"/);
    assert.equal(refused.headers.connection, undefined);
    assert.equal((await ask(session, { ':path': '/health' })).status, 200);
  });
});

test('odd requests are answered', async () => {
  await using door = await Door.open();
  await withSession(door, async (session) => {
    for (const [headers, status] of [
      [{ ':path': '/a b' }, 400],
      [{ ':path': '/\u00ff' }, 400],
      [{ ':path': '/health', ':method': 'BREW' }, 501],
      [{ ':path': '/health', ':method': 'B(' }, 400],
      [{ ':path': '*', ':method': 'OPTIONS' }, 404],
      [{ ':path': '//' }, 404],
      [{ ':path': '/health', ':authority': '' }, 200],
      [{ ':path': '/health', ':authority': 'a b' }, 200],
      [{ ':path': '/health', expect: '100-continue' }, 200],
    ] as [OutgoingHttpHeaders, number][]) {
      const { status: actual } = await ask(session, headers);
      assert.equal(actual, status, JSON.stringify(headers));
    }
  });
});

test('a body without end is refused, and some time later not read any more', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => assert.fail() } });
  await withSession(door, async (session) => {
    const stream = session.request({ ':path': RANGE, ':method': 'POST', 'content-type': 'application/json' });
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('data', (chunk) => {
      body += chunk;
    });
    stream.on('error', () => {});
    const closed = new Promise((resolve) => stream.on('close', resolve));
    const writing = setInterval(() => {
      if (!stream.destroyed && !stream.writableNeedDrain) stream.write(Buffer.alloc(65_536, 0x20));
    }, 5);
    await until('the answer', () => body !== '');
    assert.equal(status, 429);
    assert.match(body, /resource_exhausted/);
    await closed;
    clearInterval(writing);
    assert.equal((await ask(session, { ':path': '/health' })).status, 200);
  });
});

test('a client that resets a stream cancels the call', async () => {
  let cancelled = 0;
  let calls = 0;
  await using door = await Door.open({
    unary: {
      [RANGE]: (_, call) => {
        calls++;
        call.work = { cancel: () => cancelled++ };
        return new Promise(() => {});
      },
    },
  });
  await withSession(door, async (session) => {
    const post = { ':path': RANGE, ':method': 'POST', 'content-type': 'application/json' };
    const waiting = session.request(post);
    waiting.on('error', () => {});
    waiting.end('{}');
    await until('the call', () => calls === 1);
    waiting.close(constants.NGHTTP2_CANCEL);
    await until('cancel', () => cancelled === 1);
  });
  await until('its end', () => door.observer.events.at(-1) === 'handled Range 1');
});

test('a connection that breaks in the middle of a request makes no call of it', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => assert.fail() } });
  const session = connect(door.http2Url);
  session.on('error', () => {});
  const stream = session.request({ ':path': RANGE, ':method': 'POST', 'content-type': 'application/proto' });
  stream.on('error', () => {});
  // Whole by the look of it: a request without its end is no request.
  stream.write(Buffer.from([0x0a, 0x01, 0x61]));
  await until('the call', () => door.observer.events.includes('started Range'));
  session.destroy();
  await until('cancel', () => door.observer.events.includes('handled Range 1'));
  assert.deepEqual(door.observer.events, ['started Range', 'handled Range 1']);
  assert.deepEqual(door.observer.faults, []);
});

test('a connection that breaks cancels its calls', async () => {
  let cancelled = 0;
  await using door = await Door.open({
    unary: {
      [RANGE]: (_, call) => {
        call.work = { cancel: () => cancelled++ };
        setImmediate(() => session.destroy());
        return new Promise(() => {});
      },
    },
  });
  const session = connect(door.http2Url);
  session.on('error', () => {});
  const stream = session.request({
    ':path': `${RANGE}?connect=v1&encoding=json&message=%7B%7D`,
  });
  stream.on('error', () => {});
  await until('cancel', () => cancelled === 1);
  assert.deepEqual(door.observer.faults, []);
});

test('a response that breaks off resets its stream', async () => {
  await using door = await Door.open({
    stream: {
      '/v3electionpb.Election/Observe': (client) => {
        const ignore = (): void => {};
        client.listener = {
          onMessage: () => client.send(new Uint8Array(0)),
          onHalfClose: ignore,
          onDrain: ignore,
          onCancel: ignore,
        };
      },
    },
  });
  await withSession(door, async (session) => {
    const stream = session.request({
      ':path': '/v3electionpb.Election/Observe',
      ':method': 'POST',
      'content-type': 'application/grpc-web+proto',
    });
    stream.end(Buffer.alloc(5));
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('data', resolve));
    door.web.close();
    await until('reset', () => stream.closed);
    assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
  });
});
