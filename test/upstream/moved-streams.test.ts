/** Streams that move to another connection while etcd takes no more on the one they had. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lease, Watch } from '../../src/etcd/methods.ts';
import { until } from '../support/until.ts';
import { inUse, PATIENT, Stream } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

for (const method of [Lease.LeaseKeepAlive, Watch.Watch])
  test(`who was told to wait hears that there is room again: ${method.path}`, async () => {
    await using held = new AsyncDisposableStack();
    // It takes streams, and nothing on them.
    const full = await ScriptedEtcd.start(7, 1000, '', { initialWindowSize: 0 });
    const { cluster } = connectTo([full], PATIENT);
    held.defer(() => cluster.close());
    await inUse(cluster);
    const stream = new Stream(cluster, method);
    let sent = 1;
    await until('there is no room', () => {
      if (stream.room) sent++;
      return !(stream.room && stream.send());
    });
    assert.equal(stream.drains, 0);
    await full[Symbol.asyncDispose]();
    const etcd = held.use(await ScriptedEtcd.start(7, 1000, full.address));
    const came = () => etcd.messages.filter(({ path }) => path === method.path).length;
    await until('it has them', () => came() === sent);
    await until('there is room', () => stream.drains > 0);
    assert.equal(stream.drains, 1);
    stream.send();
    await until('it goes on', () => came() === sent + 1);
  });
