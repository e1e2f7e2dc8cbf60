/** Server streams through the web door: order, ends, back-pressure, and clients that go away. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code, type ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { Election, LeaderResponseSchema } from '#gen/v3electionpb/election_pb.js';
import type { Call, ServerStream, ServerStreamListener, StreamHandler } from '../../src/rpc/contract.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { OK, Code as RpcCode, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const OBSERVE = '/v3electionpb.Election/Observe';

/** A service that does what its test tells it to, and notes what it hears. */
class Service implements ServerStreamListener {
  readonly heard: string[] = [];
  readonly client: ServerStream;
  readonly call: Call;
  constructor(client: ServerStream, call: Call) {
    this.client = client;
    this.call = call;
  }
  onMessage(message: Uint8Array): void {
    this.heard.push(`message ${message.length}`);
  }
  onHalfClose(): void {
    this.heard.push('half-close');
  }
  onDrain(): void {
    this.heard.push('drain');
  }
  onCancel(): void {
    this.heard.push('cancel');
  }
}

/** A door whose `Observe` is served by the services that come with it. */
async function openDoor(
  begin: (service: Service) => void = () => {},
  options: Parameters<typeof Door.open>[1] = {},
): Promise<[Door, Service[]]> {
  const services: Service[] = [];
  const door = await Door.open(
    {
      stream: {
        [OBSERVE]: (client, call) => {
          const service = new Service(client, call);
          client.listener = service;
          services.push(service);
          begin(service);
        },
      },
    },
    options,
  );
  return [door, services];
}

const leader = (value: string | Uint8Array): Uint8Array =>
  toBinary(
    LeaderResponseSchema,
    create(LeaderResponseSchema, { kv: { value: Buffer.from(value as string) } }),
  );

test('messages arrive in order with the metadata around them, in every protocol', async () => {
  const [door, services] = await openDoor((service) => {
    service.call.responseHeaders = new Metadata(['x-head', 'h']);
    service.client.sendHeaders();
    for (let i = 0; i < 3; i++) assert.equal(service.client.send(leader(`early ${i}`)), true);
    setTimeout(() => {
      for (let i = 0; i < 3; i++) service.client.send(leader(`late ${i}`));
      service.call.responseTrailers = new Metadata(['x-tail', 't']);
      service.client.end(OK);
      service.client.end(new RpcError(13, 'ended twice'));
      service.client.send(leader('after the end'));
    }, 10);
  });
  await using _ = door;
  for (const [name, transport] of door.transports()) {
    let head: Headers | undefined;
    let tail: Headers | undefined;
    const seen: string[] = [];
    const options = {
      headers: { token: 'x' },
      onHeader: (headers: Headers) => {
        head = headers;
      },
      onTrailer: (trailers: Headers) => {
        tail = trailers;
      },
    };
    for await (const message of createClient(Election, transport).observe(
      { name: Buffer.from('n') },
      options,
    )) {
      seen.push(Buffer.from(message.kv?.value ?? []).toString());
    }
    assert.deepEqual(seen, ['early 0', 'early 1', 'early 2', 'late 0', 'late 1', 'late 2'], name);
    assert.equal(head?.get('x-head'), 'h', name);
    assert.equal(tail?.get('x-tail'), 't', name);
    const service = services.pop() ?? assert.fail();
    assert.deepEqual(service.heard, ['message 3', 'half-close'], name);
    assert.deepEqual(service.call.metadata.fields, ['token', 'x'], name);
    const events = door.observer.events.splice(0).map((event) => event.replace(' Observe', ''));
    const sent = new Array<string>(6).fill('sent');
    assert.deepEqual(events, ['started', 'received', ...sent, 'handled 0'], name);
  }
  assert.deepEqual(door.observer.faults, []);
});

test('an error ends a stream after the messages before it', async () => {
  const [door] = await openDoor((service) => {
    service.client.send(leader('one'));
    service.client.end(new RpcError(14, 'etcdserver: no leader'));
  });
  await using _ = door;
  for (const [name, transport] of door.transports()) {
    let messages = 0;
    const reading = (async () => {
      for await (const _ of createClient(Election, transport).observe({})) messages++;
    })();
    await assert.rejects(reading, (error: ConnectError) => {
      assert.equal(error.code, Code.Unavailable, name);
      assert.equal(error.rawMessage, 'etcdserver: no leader', name);
      return true;
    });
    assert.equal(messages, 1, name);
    assert.equal(door.observer.events.splice(0).at(-1), 'handled Observe 14', name);
  }
});

test('what is no message ends a stream with INTERNAL, and is no fault of the program', async () => {
  const [door, services] = await openDoor((service) => service.client.send(Buffer.from([0x0a, 0x7f])));
  await using _ = door;
  for (const [name, transport] of door.transports()) {
    const first = createClient(Election, transport).observe({})[Symbol.asyncIterator]().next();
    await assert.rejects(first, {
      code: Code.Internal,
      rawMessage: "etcd-connect-proxy: etcd's reply is no v3electionpb.LeaderResponse",
    });
    assert.deepEqual(door.observer.faults, [], name);
    assert.deepEqual(
      door.observer.events.splice(0).slice(-2),
      ['malformed Observe', 'handled Observe 13'],
      name,
    );
    assert.equal(services.at(-1)?.heard.at(-1), 'cancel', name);
  }
});

test('faults end a stream with INTERNAL and are reported', async () => {
  const [door, services] = await openDoor(() => {
    throw new Error('secret');
  });
  await using _ = door;
  for (const [name, transport] of door.transports()) {
    const first = createClient(Election, transport).observe({})[Symbol.asyncIterator]().next();
    await assert.rejects(first, (error: ConnectError) => {
      assert.equal(error.code, Code.Internal, name);
      assert.doesNotMatch(error.message, /secret/, name);
      return true;
    });
    assert.equal(door.observer.faults.splice(0).length, 1, name);
    assert.equal(door.observer.events.splice(0).at(-1), 'handled Observe 13', name);
    assert.equal(services.at(-1)?.heard.at(-1), 'cancel', name);
  }
});

test('the deadline ends a stream, once', async () => {
  const [door, services] = await openDoor((service) => service.client.send(leader('one')));
  await using _ = door;
  const body = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from('{}')]);
  // It begins with the head: the body has to be read before it is over, on a busy machine too.
  const headers = { 'content-type': 'application/connect+json', 'connect-timeout-ms': '1000' };
  const response = await fetch(door.url + OBSERVE, { method: 'POST', headers, body });
  const text = await response.text();
  assert.match(text, /"code":"deadline_exceeded","message":"context deadline exceeded"/);
  assert.deepEqual(services[0]?.heard, ['message 0', 'half-close', 'cancel']);
  assert.equal(services[0]?.call.cancelled, true);
  services[0]?.client.send(leader('late'));
  services[0]?.client.end(new RpcError(RpcCode.CANCELLED, 'late'));
  assert.deepEqual(
    door.observer.events.filter((event) => event.startsWith('handled')),
    ['handled Observe 4'],
  );
});

test('a client that goes away cancels its stream, in every protocol', async () => {
  const [door, services] = await openDoor((service) => service.client.send(leader('one')));
  await using _ = door;
  for (const [name, transport] of door.transports()) {
    const abort = new AbortController();
    const stream = createClient(Election, transport).observe({}, { signal: abort.signal });
    const messages = stream[Symbol.asyncIterator]();
    await messages.next();
    abort.abort();
    await assert.rejects(messages.next(), (error: ConnectError) => error.code === Code.Canceled, name);
    const service = services.pop() ?? assert.fail();
    await until(`${name}: cancel`, () => service.heard.at(-1) === 'cancel');
    assert.deepEqual(service.heard, ['message 0', 'half-close', 'cancel'], name);
    await until(name, () => door.observer.events.splice(0).at(-1) === 'handled Observe 1');
  }
  assert.deepEqual(door.observer.faults, []);
});

test('a client that goes away before the first message cancels its stream', async () => {
  const [door, services] = await openDoor();
  await using _ = door;
  for (const [name, transport] of door.transports()) {
    const abort = new AbortController();
    const messages = createClient(Election, transport).observe({}, { signal: abort.signal });
    const first = messages[Symbol.asyncIterator]().next();
    first.catch(() => {});
    await until(name, () => services.length === 1);
    abort.abort();
    const service = services.pop() ?? assert.fail();
    await until(`${name}: cancel`, () => service.heard.at(-1) === 'cancel');
    await assert.rejects(first);
  }
  assert.deepEqual(door.observer.faults, []);
});

const CHUNK = leader(Buffer.alloc(16 * 1024, 0x61));
const LIMIT = 64 * 1024 * 1024;

/** Pushes as fast as it may: stops when told to, goes on when there is room. Returns the bytes pushed so far. */
function firehose(service: Service): () => number {
  let pushed = 0;
  const push = (): void => {
    while (pushed < LIMIT) {
      pushed += CHUNK.length;
      if (!service.client.send(CHUNK)) return;
    }
    service.client.end(OK);
  };
  service.onDrain = push;
  setImmediate(push);
  return () => pushed;
}

/** Asserts that a counter stands still at less than a few MiB. */
async function assertStalled(pushed: () => number): Promise<void> {
  await until('the first bytes', () => pushed() > 0);
  let before = -1;
  while (before !== pushed()) {
    before = pushed();
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  // What the kernel buffers for a loopback connection is some MiB on its own.
  assert.ok(pushed() < 16 * 1024 * 1024, `${pushed()} bytes taken from the service`);
}

const REQUEST = Buffer.from(
  `POST ${OBSERVE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0`,
);

async function readAll(socket: Socket): Promise<number> {
  let bytes = 0;
  for await (const chunk of socket) {
    bytes += chunk.length;
    if (bytes > LIMIT && (chunk as Buffer).includes('grpc-status: 0')) break;
  }
  return bytes;
}

test('an HTTP/1.1 client that stops reading stops the service; memory stays flat', async () => {
  let pushed = (): number => 0;
  const [door, services] = await openDoor((service) => {
    pushed = firehose(service);
  });
  await using _ = door;
  const socket = connect(door.port, '127.0.0.1');
  socket.pause();
  socket.write(REQUEST);
  await assertStalled(() => pushed());
  assert.ok((await readAll(socket)) > LIMIT);
  assert.deepEqual(services[0]?.heard, ['message 0', 'half-close']);
});

test('a stalled HTTP/1.1 client that goes away lets the service go, and nothing is printed of it', async (t) => {
  const printed = t.mock.method(console, 'error', () => {});
  let pushed = (): number => 0;
  const [door, services] = await openDoor((service) => {
    pushed = firehose(service);
  });
  await using _ = door;
  const socket = connect(door.port, '127.0.0.1');
  socket.pause();
  socket.write(REQUEST);
  await assertStalled(() => pushed());
  socket.destroy();
  await until('cancel', () => services[0]?.heard.at(-1) === 'cancel');
  assert.deepEqual(door.observer.faults, []);
  assert.equal(printed.mock.callCount(), 0);
});

test('an HTTP/2 client that stops reading stops the service; going away cancels it', async () => {
  let pushed = (): number => 0;
  const [door, services] = await openDoor((service) => {
    pushed = firehose(service);
  });
  await using _ = door;
  const session = connectHttp2(door.http2Url);
  const request = (): ReturnType<typeof session.request> => {
    const stream = session.request({
      ':method': 'POST',
      ':path': OBSERVE,
      'content-type': 'application/grpc-web+proto',
    });
    stream.end(Buffer.alloc(5));
    return stream;
  };
  const stalled = request();
  stalled.pause();
  await assertStalled(() => pushed());
  stalled.close(constants.NGHTTP2_CANCEL);
  await until('cancel', () => services[0]?.heard.at(-1) === 'cancel');
  const read = request();
  let bytes = 0;
  let tail = '';
  for await (const chunk of read) {
    bytes += chunk.length;
    tail = chunk.toString('latin1').slice(-100);
  }
  assert.ok(bytes > LIMIT);
  assert.match(tail, /grpc-status: 0/);
  assert.deepEqual(door.observer.faults, []);
  session.close();
});

test('a quiet stream outlives the time-outs of requests', async () => {
  const [door, services] = await openDoor((service) => service.client.send(leader('one')), {
    limits: { headersTimeout: 1000, requestTimeout: 1000, keepAliveTimeout: 100 },
  });
  await using _ = door;
  const outlive = async (name: string, transport: Transport): Promise<void> => {
    const messages = createClient(Election, transport).observe({})[Symbol.asyncIterator]();
    await messages.next();
    const service = services.shift() ?? assert.fail();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    service.client.send(leader('two'));
    service.client.end(OK);
    assert.equal(Buffer.from((await messages.next()).value?.kv?.value ?? []).toString(), 'two', name);
    assert.equal((await messages.next()).done, true, name);
  };
  await Promise.all(door.transports().map(([name, transport]) => outlive(name, transport)));
});

test("a body of etcd's JSON that goes on outlives them too", async () => {
  const keepAlive: StreamHandler = (client) => {
    client.listener = {
      onMessage: () => void client.send(new Uint8Array(0)),
      onHalfClose: () => client.end(OK),
      onDrain: () => {},
      onCancel: () => {},
    };
  };
  await using door = await Door.open(
    { stream: { '/etcdserverpb.Lease/LeaseKeepAlive': keepAlive } },
    { limits: { headersTimeout: 1000, requestTimeout: 1000, keepAliveTimeout: 100 } },
  );
  const request = httpRequest(`${door.url}/v3/lease/keepalive`, { method: 'POST' });
  let text = '';
  let ended = false;
  request.on('response', (response) => {
    response.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    response.on('end', () => {
      ended = true;
    });
  });
  request.write('{"ID":1}');
  await until('the first answer', () => text === '{"result":{}}\n');
  await new Promise((resolve) => setTimeout(resolve, 2500));
  request.write('{"ID":1}');
  await until('the second answer', () => text === '{"result":{}}\n'.repeat(2));
  request.end();
  await until('the end', () => ended);
});

test('the browser service is on the door', async () => {
  await using door = await Door.open({
    stream: {
      '/etcdconnect.v1.Browser/Watch': (client) => {
        client.listener = {
          onMessage: () => {},
          onHalfClose: () => client.end(OK),
          onDrain: () => {},
          onCancel: () => {},
        };
      },
    },
    unary: { '/etcdconnect.v1.Browser/LeaseKeepAliveOnce': () => new Uint8Array(0) },
  });
  for (const [name, transport] of door.transports()) {
    const client = createClient(Browser, transport);
    for await (const _ of client.watch({})) assert.fail(name);
    assert.equal((await client.leaseKeepAliveOnce({ ID: 5n })).TTL, 0n, name);
  }
});
