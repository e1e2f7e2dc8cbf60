/** gRPC's C core, by way of Python's grpcio, as a client of the proxy. Needs Python and its package index. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { runProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { pythonWith } from '../support/python.ts';

const VERSION = '1.80.0';

test('grpcio works through the proxy', async (t) => {
  const python = await pythonWith('grpcio', [`grpcio<=${VERSION}`]);
  if ('missing' in python) {
    t.skip(python.missing);
    return;
  }
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const { code, stdout, stderr } = await runProcess(
    python.program,
    ['test/tools/grpcio/peer.py', proxy.address],
    { limitMs: 60_000 },
  );
  assert.equal(code, 0, stderr);
  const { grpcio, ...seen } = JSON.parse(stdout) as Record<string, unknown>;
  t.diagnostic(`grpcio ${String(grpcio)}`);
  assert.deepEqual(seen, {
    value: 1,
    error: [3, 'etcdserver: key is not provided'],
    unknown: 12,
    parallel: 2000,
    event: true,
  });
});
