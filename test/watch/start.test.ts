/** What happens between the answer to a create request and the start of the proxy's own watch. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';

/** Long enough for some puts to etcd itself while a request is on its way to it. */
const DELAY_MS = 300;
const KEYS = ['a', 'b', 'a', 'c'];

test('changes before the proxy watches come one by one, as they happened', async () => {
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd());
  const relay = held.use(await Relay.open(etcd.first.address, { requestDelayMs: DELAY_MS }));
  const proxy = held.use(await startProxy({ endpoints: [relay.address] }));
  const direct = held.use(new RawGrpcClient(etcd.first.address));
  const client = held.use(new RawGrpcClient(proxy.address));
  const watch = new WatchCall(client);
  watch.create({ key: b('start/'), rangeEnd: b('start0') });
  const created = await watch.next();
  assert.ok(created?.created);
  const first = Number(created.header?.revision) + 1;
  for (const key of KEYS) {
    await put(direct, `start/${key}`, 'v');
    await put(direct, 'elsewhere', 'v');
  }
  const seen: [revision: number, keys: string[]][] = [];
  for (let i = 0; i < KEYS.length; i++) {
    const { header, events } = (await watch.next()) ?? assert.fail('the stream has ended');
    seen.push([Number(header?.revision), events.map(({ kv }) => String(Buffer.from(kv?.key ?? [])))]);
  }
  assert.deepEqual(
    seen,
    KEYS.map((key, i) => [first + 2 * i, [`start/${key}`]]),
  );
});
