/** `/v2` with TLS on both sides, and over HTTP/2; and a read-only proxy that registers itself all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atLeast, availableEtcds, etcdctl, startEtcd } from '../support/etcd.ts';
import { runProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { Authority } from '../tls/pki.ts';

test('TLS to clients and to etcd, which wants a certificate', async (t) => {
  const install = (await availableEtcds()).findLast((each) => !atLeast(each, 3, 6));
  if (install === undefined) return t.skip('no etcd with the v2 API is at hand');
  const authority = await Authority.create();
  const { cert, key } = await authority.issue('both', { hosts: ['localhost', '127.0.0.1'] });
  await using etcd = await startEtcd({
    install,
    args: ['--enable-v2'],
    clientTls: { certFile: cert, keyFile: key, clientCaFile: authority.cert },
  });
  const flags = [
    `--cert=${cert}`,
    `--key=${key}`,
    `--cacert=${authority.cert}`,
    `--cert-file=${cert}`,
    `--key-file=${key}`,
  ];
  await using proxy = await startProxy({ endpoints: etcd.urls, flags });
  const url = `https://${proxy.address}/v2/keys/secret`;
  for (const version of ['--http1.1', '--http2']) {
    for (const [args, wanted] of [
      [['-XPUT', '-d', 'value=hello'], /"action":"set"/],
      [[], /"value":"hello"/],
    ] as const) {
      const all = ['--silent', '--show-error', version, '--cacert', authority.cert, ...args, url];
      const { code, stdout, stderr } = await runProcess('curl', all);
      assert.equal(code, 0, stderr);
      assert.match(stdout, wanted);
    }
  }
  const { stdout } = await runProcess('curl', [
    '-s',
    '--cacert',
    authority.cert,
    `https://${proxy.address}/v2/config/local/proxy`,
  ]);
  assert.deepEqual(JSON.parse(stdout), { endpoints: etcd.urls });
});

test('what a read-only proxy writes on its own account is written: its registration', async () => {
  await using etcd = await startEtcd();
  const registered = ['--resolver-prefix=proxies', '--resolver-ttl=5'];
  await using proxy = await startProxy({
    endpoints: etcd.endpoints,
    flags: ['--proxy=readonly', ...registered],
  });
  await until('it is registered', async () => {
    const { stdout } = await etcd.etcdctl(['get', '--prefix', 'proxies', '--keys-only']);
    return stdout.includes(proxy.address);
  });
  const { code, stderr } = await etcdctl(etcd.install, [proxy.address], ['put', 'key', 'value']);
  assert.notEqual(code, 0);
  assert.match(stderr, /read-only/);
});
