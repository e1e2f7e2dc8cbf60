/** Forwarding of `/v2` with members that a test makes up: what they are sent, what becomes of failures, and who is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, Socket } from 'node:net';
import { after, test } from 'node:test';
import { noteClient } from '../../src/rpc/client.ts';
import { readBody } from '../../src/web/v2/forwarded-body.ts';
import type { V2Member, V2Options } from '../../src/web/v2/options.ts';
import { collectGarbage } from '../support/garbage.ts';
import { until } from '../support/until.ts';
import { Door } from '../web/support.ts';
import { ask, begin } from './http.ts';

const TIMES = {
  failureWait: 60_000,
  refreshInterval: 60_000,
  dialTimeout: 5000,
  writeTimeout: 0,
  readTimeout: 0,
};
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/** A member, and the requests that it got. */
class FakeMember implements V2Member {
  readonly url: string;
  readonly server: Server;
  readonly got: { head: string; fields: readonly string[]; body: string }[] = [];

  private constructor(server: Server) {
    this.server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(
    listener: (member: FakeMember, ...args: Parameters<RequestListener>) => void,
  ): Promise<FakeMember> {
    const server = createServer((request, response) => listener(member, request, response));
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const member = new FakeMember(server);
    return member;
  }

  /** One that takes requests whole, and answers. */
  static willing(): Promise<FakeMember> {
    return FakeMember.start(async (member, request, response) => {
      await member.read(request);
      response.writeHead(200, { 'X-Etcd-Index': '7', 'Access-Control-Allow-Origin': '*' }).end('done');
    });
  }

  /** One that is not there. */
  static async gone(): Promise<FakeMember> {
    const member = await FakeMember.willing();
    await new Promise((closed) => member.server.close(closed));
    return member;
  }

  readonly connect = () => connect({ port: Number(new URL(this.url).port), host: '127.0.0.1' });

  async read(request: IncomingMessage): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString();
    this.got.push({ head: `${request.method} ${request.url}`, fields: request.rawHeaders, body });
  }
}

/** What was dropped and handled. */
class Counts {
  readonly lines: string[] = [];
  onRequest(method: string): void {
    this.lines.push(`request ${method}`);
  }
  onHandled(method: string, status: number): void {
    this.lines.push(`handled ${method} ${status}`);
  }
  onDropped(method: string, why: string): void {
    this.lines.push(`dropped ${method} ${why}`);
  }
}

async function open(members: readonly V2Member[], options: Partial<V2Options> = {}) {
  const counts = new Counts();
  const v2: V2Options = {
    readOnly: false,
    shuffled: false,
    members: () => members,
    times: TIMES,
    observer: counts,
    ...options,
  };
  const door = await Door.open({}, { v2 });
  return { door, counts, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
}

/** The values of a field in a list of names and values. */
function valuesOf(fields: readonly string[], name: string): string[] {
  return fields.filter((_, i) => i % 2 === 1 && fields[i - 1]?.toLowerCase() === name);
}

test('a request goes on as it is, without what belongs to its connection', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  const target = '/v2/keys/a%2Fb//c?wait=false&x=%zz;y';
  const { status, text, headers } = await ask(`${place.door.url}${target}`, {
    method: 'PUT',
    headers: {
      ...FORM,
      Connection: 'close, X-Mine , content-length, HOST',
      'X-Mine': '1',
      'X-Other': '2',
      'Keep-Alive': 'timeout=5',
      TE: 'trailers',
      'Proxy-Authorization': 'Basic eA==',
      Authorization: 'Basic YTpi',
      'X-Forwarded-For': '10.0.0.1',
      Via: '1.0 before',
    },
    body: 'value=1',
  });
  assert.deepEqual([status, text, headers['x-etcd-index']], [200, 'done', '7']);
  // Whose pages may read an answer is for the proxy to say.
  assert.equal(headers['access-control-allow-origin'], undefined);
  const [got] = member.got;
  assert.equal(got?.head, `PUT ${target}`);
  assert.equal(got?.body, 'value=1');
  const fields = got?.fields ?? [];
  for (const name of ['x-mine', 'te', 'proxy-authorization', 'expect'])
    assert.deepEqual(valuesOf(fields, name), [], name);
  assert.deepEqual(valuesOf(fields, 'connection'), ['keep-alive']);
  assert.deepEqual(valuesOf(fields, 'x-other'), ['2']);
  assert.deepEqual(valuesOf(fields, 'authorization'), ['Basic YTpi']);
  assert.deepEqual(valuesOf(fields, 'content-length'), ['7']);
  assert.deepEqual(valuesOf(fields, 'host'), [new URL(place.door.url).host]);
  assert.match(valuesOf(fields, 'via').join(), /^1\.0 before, 1\.1 etcd-connect-proxy-[0-9a-f]{16}$/);
  assert.deepEqual(place.counts.lines, ['request PUT', 'handled PUT 200']);
});

test('the address of the client stands behind those before it', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  place.door.web.http.prependListener('connection', (socket: object) =>
    noteClient(socket, {
      address: '[::ffff:10.9.8.7]:1',
      listener: '',
      local: '',
      namespace: '',
      certificate: undefined,
      commonName: undefined,
    }),
  );
  await ask(`${place.door.url}/v2/keys`, { headers: { 'X-Forwarded-For': '10.0.0.1' } });
  await ask(`${place.door.url}/v2/keys`);
  assert.deepEqual(
    member.got.map(({ fields }) => valuesOf(fields, 'x-forwarded-for')),
    [['10.0.0.1, 10.9.8.7'], ['10.9.8.7']],
  );
});

test('what was not sent goes to the next member, whatever it is; a member that failed rests', async () => {
  const [gone, member] = [await FakeMember.gone(), await FakeMember.willing()];
  await using place = await open([gone, member]);
  for (const method of ['PUT', 'POST', 'DELETE', 'GET'])
    assert.equal(
      (await ask(`${place.door.url}/v2/keys/a`, { method, headers: FORM, body: 'value=1' })).status,
      200,
    );
  assert.deepEqual(
    member.got.map(({ body }) => body),
    ['value=1', 'value=1', 'value=1', 'value=1'],
  );
  assert.equal(place.counts.lines.filter((line) => line.includes('failed_sending_request')).length, 1);
  const { text } = await ask(`${place.door.url}/v2/config/local/proxy`);
  assert.deepEqual(JSON.parse(text), { endpoints: [member.url] });
});

test('no member: 503; none that answers: 502, and 503 while they rest', async () => {
  await using none = await open([]);
  const zero = await ask(`${none.door.url}/v2/keys`);
  assert.deepEqual(
    [zero.status, zero.text],
    [503, '{"message":"httpproxy: zero endpoints currently available"}'],
  );
  assert.equal(zero.headers['content-type'], 'application/json');
  await using place = await open([await FakeMember.gone(), await FakeMember.gone()]);
  const failed = await ask(`${place.door.url}/v2/keys`, { method: 'PUT', headers: FORM, body: 'value=1' });
  assert.deepEqual(
    [failed.status, failed.text],
    [502, '{"message":"httpproxy: unable to get response from 2 endpoint(s)"}'],
  );
  assert.equal((await ask(`${place.door.url}/v2/keys`)).status, 503);
  assert.deepEqual(place.counts.lines, [
    'request PUT',
    'dropped PUT failed_sending_request',
    'dropped PUT failed_sending_request',
    'dropped PUT failed_getting_response',
    'request GET',
    'dropped GET zero_endpoints',
  ]);
});

test('a member that breaks off: reads are asked again with their body, writes are not', async () => {
  const breaking = await FakeMember.start(async (member, request) => {
    await member.read(request);
    request.socket.destroy();
  });
  const member = await FakeMember.willing();
  for (const method of ['GET', 'HEAD']) {
    await using place = await open([breaking, member]);
    assert.equal(
      (await ask(`${place.door.url}/v2/keys/a`, { method, headers: FORM, body: 'x=1' })).status,
      200,
    );
  }
  assert.deepEqual(
    member.got.map(({ head, body }) => [head, body]),
    [
      ['GET /v2/keys/a', 'x=1'],
      ['HEAD /v2/keys/a', 'x=1'],
    ],
  );
  member.got.length = 0;
  for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) {
    await using place = await open([breaking, member]);
    const { status, text } = await ask(`${place.door.url}/v2/keys/a`, { method, headers: FORM, body: 'x=1' });
    assert.equal(status, 502, method);
    assert.match(text, /may have been carried out/);
  }
  assert.deepEqual(member.got, []);
});

test('a connection that was kept and closed costs a read nothing', async () => {
  const member = await FakeMember.willing();
  let connections = 0;
  member.server.on('connection', () => connections++);
  await using place = await open([member]);
  for (let i = 0; i < 3; i++) await ask(`${place.door.url}/v2/keys`);
  assert.equal(connections, 1);
  // As a member that is started again: a request may already be on its way on the old connection.
  member.server.closeAllConnections();
  assert.equal((await ask(`${place.door.url}/v2/keys`)).status, 200);
  assert.ok(!place.counts.lines.some((line) => line.startsWith('dropped')));
});

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

test('who leaves is left: the member hears of it, before and after it has begun to answer', async () => {
  let closed = 0;
  let begun = 0;
  const member = await FakeMember.start((_, request, response) => {
    begun++;
    response.once('close', () => closed++);
    if (request.url?.includes('stream')) response.write('one\n');
  });
  await using place = await open([member]);
  const { sent } = await begin(`${place.door.url}/v2/keys/a?wait=true&stream=true`);
  sent.destroy();
  await until('the first is over', () => closed === 1);
  const socket = connect(place.door.port, '127.0.0.1');
  socket.write('PUT /v2/keys/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc');
  await until('the second is there', () => begun === 2);
  socket.destroy();
  await until('the second is over', () => closed === 2);
});

test('an answer that breaks off has no end', async () => {
  const member = await FakeMember.start((_, __, response) => {
    response.write('begun');
    setImmediate(() => response.destroy());
  });
  await using place = await open([member]);
  await assert.rejects(ask(`${place.door.url}/v2/keys/a`));
});

test('answers that HTTP does not have are none', async () => {
  for (const line of ['099 Odd', '200 O\u0001K']) {
    const server = await FakeMember.start(() => {});
    server.server.removeAllListeners('connection').on('connection', (socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(`HTTP/1.1 ${line}\r\ncontent-length: 0\r\n\r\n`));
    });
    await using place = await open([server]);
    assert.equal((await ask(`${place.door.url}/v2/keys/a`)).status, 502, line);
    assert.deepEqual(place.door.observer.faults, []);
  }
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

test('a member of itself is found out, and passed over where there is another one', async () => {
  const members: V2Member[] = [];
  await using place = await open(members);
  const { port } = place.door;
  members.push({ url: place.door.url, connect: () => connect(port, '127.0.0.1') });
  const url = `${place.door.url}/v2/keys/a`;
  assert.equal((await ask(url)).status, 508);
  members.push(await FakeMember.willing());
  for (const method of ['GET', 'DELETE']) assert.equal((await ask(url, { method })).status, 200, method);
  // A body that has gone there cannot be sent again, so it must not go there.
  assert.equal((await ask(url, { method: 'PUT', headers: FORM, body: 'value=1' })).status, 200);
});

test('of a body that is coded no coding is lost', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  const headers = { ...FORM, 'Transfer-Encoding': 'gzip, chunked' };
  const { status } = await ask(`${place.door.url}/v2/keys/a`, { method: 'PUT', headers });
  assert.equal(status, 501);
  assert.deepEqual(member.got, []);
});

test('pages: an Origin that is not allowed, and a host that is not ours', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  const url = `${place.door.url}/v2/keys`;
  assert.equal((await ask(url, { headers: { Origin: 'http://evil.example' } })).status, 403);
  assert.equal((await ask(url, { headers: { Host: 'evil.example' } })).status, 421);
  assert.equal(
    (await ask(`${place.door.url}/v2/config/local/proxy`, { headers: { Host: 'evil.example' } })).status,
    421,
  );
  assert.equal((await ask(url, { headers: { Host: 'localhost:1' } })).status, 200);
  assert.equal(member.got.length, 1);
});

test('read-only: GET and nothing else', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member], { readOnly: true });
  for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE']) {
    const { status, text } = await ask(`${place.door.url}/v2/keys/a`, { method });
    assert.deepEqual([status, text], [501, ''], method);
  }
  assert.equal((await ask(`${place.door.url}/v2/keys/a`)).status, 200);
  assert.equal(member.got.length, 1);
});

test('within a namespace there is no /v2', async () => {
  const member = await FakeMember.willing();
  await using place = await open([member]);
  place.door.web.http.prependListener('connection', (socket: object) =>
    noteClient(socket, {
      address: '',
      listener: '',
      local: '',
      namespace: 'tenant/',
      certificate: undefined,
      commonName: undefined,
    }),
  );
  for (const path of ['/v2/keys', '/v2/config/local/proxy'])
    assert.equal((await ask(`${place.door.url}${path}`)).status, 501);
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

test('when the proxy drains, those who wait for events ask elsewhere', async () => {
  const member = await FakeMember.start((_, request, response) => {
    if (request.url?.includes('begun')) response.writeHead(200).flushHeaders();
  });
  await using place = await open([member]);
  const begun = begin(`${place.door.url}/v2/keys/a?wait=true&begun`);
  const waiting = ask(`${place.door.url}/v2/keys/a?w%61it=true`);
  const { answer } = await begun;
  await until('both wait', () => place.counts.lines.filter((line) => line === 'request GET').length === 2);
  const drained = place.door.web.drain(20_000);
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  assert.deepEqual(parts, []);
  assert.equal((await waiting).status, 503);
  await drained;
});

test('members change; where it is asked for, their order does too', async () => {
  const all = await Promise.all([0, 1, 2, 3].map(() => FakeMember.willing()));
  let members: readonly FakeMember[] = all;
  const orders = new Set<string>();
  const times = { ...TIMES, refreshInterval: 1 };
  await using place = await open([], { members: () => members, shuffled: true, times });
  await until('several orders', async () => {
    const { text } = await ask(`${place.door.url}/v2/config/local/proxy`);
    orders.add(text);
    assert.deepEqual([...JSON.parse(text).endpoints].sort(), all.map(({ url }) => url).sort());
    return orders.size > 3;
  });
  members = all.slice(2, 3);
  assert.equal((await ask(`${place.door.url}/v2/keys`)).status, 200);
  assert.equal(members[0]?.got.length, 1);
});
