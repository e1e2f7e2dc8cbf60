/** Who and what is refused at `/v2`: by rules of the door, for want of members, and because a member is no good. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { noteClient } from '../../src/rpc/client.ts';
import type { V2Member } from '../../src/web/v2/options.ts';
import { FakeMember, FORM, open } from './fake-member.ts';
import { ask } from './http.ts';

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
