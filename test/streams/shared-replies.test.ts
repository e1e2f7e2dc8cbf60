/** Many reads that ask the same at the same time, on one connection: the reply waits there once, and no read is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flight } from '../../src/flights/flight.ts';
import { outcomeOf, rangeRequest } from '../mirror/support.ts';
import { bytes, connect, lightClientOf } from '../reads/clients.ts';
import { HeldUpstream, readCall, settle } from '../reads/held-upstream.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';

test('600 reads of a megabyte at once, on one connection', async () => {
  const reads = 600;
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd());
  const proxy = held.use(await startProxy({ endpoints: etcd.endpoints }));
  const value = Buffer.alloc(1 << 20, 'v');
  await lightClientOf(etcd.first.address, held).put({ key: bytes('shared'), value });
  const client = connect(proxy.address);
  held.defer(() => client.close());
  const request = rangeRequest({ key: bytes('shared') });
  let answered = 0;
  await Promise.all(
    Array.from({ length: reads }, async () => {
      const reply = await outcomeOf(client, request, undefined, [], 120_000);
      assert.ok(typeof reply !== 'string', String(reply));
      assert.ok(reply.length > value.length);
      answered++;
    }),
  );
  assert.equal(answered, reads);
});

test('an answer for thousands is given to some of them in each turn; who leaves meanwhile gets none', async () => {
  const members = 3000;
  const upstream = new HeldUpstream();
  const flight = new Flight(Buffer.from('request'), readCall());
  const calls = Array.from({ length: members }, () => readCall());
  let answered = 0;
  let cancelled = 0;
  for (const call of calls)
    flight.join(call).then(
      () => answered++,
      () => cancelled++,
    );
  flight.send(upstream, () => {});
  upstream.at(0).answer(Buffer.from('reply'));
  const perTurn: number[] = [];
  for (let turn = 0; turn < 50 && answered + cancelled < members; turn++) {
    const before = answered;
    await settle();
    perTurn.push(answered - before);
    const waiting = calls.find((call) => call.work !== undefined);
    waiting?.cancel();
  }
  await settle();
  assert.equal(answered + cancelled, members);
  assert.ok(cancelled >= 1);
  assert.ok(Math.max(...perTurn) <= 1500, perTurn.join(' '));
  assert.ok(perTurn.length >= 3);
});
