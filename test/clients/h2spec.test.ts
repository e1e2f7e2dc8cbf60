/** The whole of h2spec against the proxy's own port. Needs Go, which builds it; the report stays in `.artifacts/`. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { installH2spec, run } from '../http2/support/tools.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';

test('the proxy passes every case of h2spec', async (t) => {
  const reason = installH2spec();
  if (reason !== false) {
    t.skip(reason);
    return;
  }
  await using etcd = await startEtcd();
  await using proxy = await startProxy({
    endpoints: etcd.endpoints,
    flags: ['--max-concurrent-streams=100'],
  });
  const [host, port] = proxy.address.split(':') as [string, string];
  mkdirSync('.artifacts', { recursive: true });
  const output = await run(
    'h2spec',
    '-h',
    host,
    '-p',
    port,
    '-P',
    '/health',
    '-j',
    '.artifacts/h2spec-proxy.xml',
    '-o',
    '5',
  ).catch((error: { stdout?: string }) => error.stdout ?? String(error));
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output);
  assert.ok(summary, output.slice(-2000));
  t.diagnostic(summary[0]);
  assert.equal(summary[4], '0', output.slice(output.indexOf('Failures:')));
  assert.equal(summary[3], '0', 'nothing is skipped');
  assert.ok(!proxy.process.stderr.includes('fault while serving'), proxy.process.stderr);
});
