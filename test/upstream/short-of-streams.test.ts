/** Streams that begin to wait while etcd is away, and then find fewer of them than they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lease } from '../../src/etcd/methods.ts';
import { Code } from '../../src/rpc/status.ts';
import { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { Stream } from './client.ts';
import { clientOptions, ScriptedEtcd } from './scripted-etcd.ts';

const LIMIT = 2;
const STREAMS = 6;

test('who waited for a connection is told too when there is no stream', async () => {
  await using held = new AsyncDisposableStack();
  const member = held.use(await ScriptedEtcd.start(7, LIMIT));
  const { options } = clientOptions([member]);
  const cluster = new ClusterClient({ ...options, maxConnections: 1, dialTimeout: 1200 });
  held.defer(() => cluster.close());
  const ends: number[] = [];
  cluster.start();
  // Before it is connected.
  for (let i = 0; i < STREAMS; i++)
    void new Stream(cluster, Lease.LeaseKeepAlive).ended.promise.then((code) => ends.push(code));
  await until('those that found none are told', () => ends.length > 0);
  assert.ok(ends.every((code) => code === Code.UNAVAILABLE));
  assert.ok(ends.length <= STREAMS - LIMIT);
});
