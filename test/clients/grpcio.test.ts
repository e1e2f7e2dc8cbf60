/** gRPC's C core, by way of Python's grpcio, as a client of the proxy. Needs Python and its package index. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { runProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';

const VENV = '.cache/grpcio';
const VERSION = '1.80.0';

/** Makes a Python environment with grpcio once; says why where that cannot be done. */
async function missing(): Promise<string | undefined> {
  if (existsSync(`${VENV}/ready`)) return undefined;
  const script = `python3 -m venv ${VENV} && ${VENV}/bin/pip install -q 'grpcio<=${VERSION}' && touch ${VENV}/ready`;
  const { code, stderr } = await runProcess('sh', ['-c', script], { limitMs: 300_000 });
  return code === 0 ? undefined : `no grpcio here: ${stderr.trim().split('\n').at(-1)}`;
}

test('grpcio works through the proxy', async (t) => {
  const reason = await missing();
  if (reason !== undefined) {
    t.skip(reason);
    return;
  }
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const { code, stdout, stderr } = await runProcess(
    `${VENV}/bin/python`,
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
