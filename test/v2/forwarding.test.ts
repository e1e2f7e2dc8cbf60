/** Forwarding of `/v2` with members that a test makes up: what they are sent, and what becomes of failures. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { noteClient } from '../../src/rpc/client.ts';
import { until } from '../support/until.ts';
import { FakeMember, FORM, open, TIMES } from './fake-member.ts';
import { ask, begin } from './http.ts';

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
