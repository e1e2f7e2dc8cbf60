/**
 * The walkthroughs of the incumbent's documentation, command by command: TLS termination, metrics and health, and
 * with them the certificate that the proxy makes itself.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeSelfSigned } from '../../src/tls/make-certificate.ts';
import { type EtcdCluster, etcdctl } from '../support/etcd.ts';
import { takePort } from '../support/ports.ts';
import { type RunningProcess, startProcess, tempDir } from '../support/process.ts';
import { Authority } from './pki.ts';
import { curl, healthPage, startSecureEtcd, toClients, toEtcd, type Usual, usual } from './support.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'etcd-connect-proxy');

let files: Usual;
let etcd: EtcdCluster;
before(async () => {
  files = await usual();
  etcd = await startSecureEtcd(files);
});
after(() => etcd?.stop());

/** Starts the incumbent's command line, with our program in the place of etcd, and returns its address. */
async function start(args: readonly string[], cwd = files.ca.folder): Promise<[string, RunningProcess]> {
  const running = await startProcess(PROGRAM, ['grpc-proxy', 'start', ...args], { cwd });
  const line = await running.waitForLine(/"started gRPC proxy"/, 30_000);
  return [(JSON.parse(line) as { address: string }).address, running];
}

test('TLS termination', async () => {
  const { ca, client, proxy } = files;
  const [plain, secure] = [`http://${etcd.first.address}`, `https://${etcd.first.address}`];
  const fails = await etcdctl(etcd.install, plain, ['endpoint', 'status', '--command-timeout=1s']);
  assert.notEqual(fails.code, 0);
  const credentials = [`--cert=${client.cert}`, `--key=${client.key}`, `--cacert=${ca.cert}`];
  assert.equal((await etcdctl(etcd.install, secure, [...credentials, 'endpoint', 'status'])).code, 0);
  const [address, running] = await start([
    `--endpoints=${secure}`,
    '--listen-addr',
    'localhost:0',
    ...['--cert', proxy.cert, '--key', proxy.key, `--cacert=${ca.cert}`, '--insecure-skip-tls-verify'],
  ]);
  await using _ = running;
  const { code, stdout, stderr } = await etcdctl(etcd.install, `http://${address}`, ['put', 'abc', 'def']);
  assert.deepEqual([code, stdout], [0, 'OK\n'], stderr);
});

test('metrics and health', async () => {
  const proxyCa = await Authority.create('proxy authority');
  const server = await proxyCa.issue('proxy-server', { hosts: ['127.0.0.1'] });
  const client = await proxyCa.issue('proxy-client');
  const metricsPort = await takePort();
  const [address, running] = await start([
    ...['--endpoints', etcd.urls.join(','), '--metrics-addr', `https://0.0.0.0:${metricsPort}`],
    ...['--listen-addr', '127.0.0.1:0', '--key', files.proxy.key, '--key-file', server.key],
    ...['--cert', files.proxy.cert, '--cert-file', server.cert],
    ...['--cacert', files.ca.cert, '--trusted-ca-file', proxyCa.cert],
  ]);
  await using _ = running;
  const asClient = ['--cacert', proxyCa.cert, '--key', client.key, '--cert', client.cert];
  for (const [host, args] of [
    [address, ['--http1.1']],
    [address, []],
    [`127.0.0.1:${metricsPort}`, []],
  ] as const) {
    const page = await curl([...asClient, `https://${host}/metrics`, ...args]);
    assert.match(page.stdout, /\netcd_grpc_proxy_cache_hits_total 0\n/, page.stderr);
    assert.match(await healthPage([...asClient, `https://${host}/health`, ...args]), /"health":"true"/);
    assert.notEqual((await curl(['--cacert', proxyCa.cert, `https://${host}/health`, ...args])).code, 0);
  }
});

describe('--auto-tls', () => {
  const page = (address: string, folder: string) =>
    healthPage(['--cacert', join(folder, 'fixtures', 'proxy', 'cert.pem'), `https://${address}/health`]);

  test('makes a certificate once and uses it again', async () => {
    const folder = await tempDir('auto-tls');
    const args = ['--endpoints', etcd.urls.join(','), '--auto-tls', '--self-signed-cert-validity=2'];
    const all = [...args, `--data-dir=${folder}`, '--listen-addr=127.0.0.1:0', ...toEtcd(files)];
    const seen: string[] = [];
    for (let i = 0; i < 2; i++) {
      const [address, running] = await start(all);
      await using _ = running;
      assert.match(await page(address, folder), /"health":"true"/);
      seen.push(readFileSync(join(folder, 'fixtures', 'proxy', 'cert.pem'), 'utf8'));
    }
    assert.equal(seen[0], seen[1]);
    const made = new X509Certificate(seen[0] as string);
    assert.equal(made.subjectAltName, 'IP Address:127.0.0.1');
    const years = (Date.parse(made.validTo) - Date.parse(made.validFrom)) / (365 * 24 * 3600 * 1000);
    assert.equal(Math.round(years * 100) / 100, 2);
    assert.equal(statSync(join(folder, 'fixtures', 'proxy', 'key.pem')).mode & 0o777, 0o600);
  });

  test('gives way to a certificate that is given, and wants client certificates where asked to', async () => {
    const folder = await tempDir('auto-tls');
    const args = [
      '--endpoints',
      etcd.urls.join(','),
      '--auto-tls',
      `--data-dir=${folder}`,
      '--listen-addr=127.0.0.1:0',
    ];
    const [address, running] = await start([...args, ...toEtcd(files), ...toClients(files)]);
    await using _ = running;
    const asClient = ['--cacert', files.ca.cert, '--key', files.client.key, '--cert', files.client.cert];
    assert.match(await healthPage([...asClient, `https://${address}/health`]), /"health":"true"/);
    assert.throws(() => statSync(join(folder, 'fixtures')), { code: 'ENOENT' });
  });

  test('for names and addresses of every kind', async () => {
    const hosts = ['etcd.example', '10.1.2.3', '::1', '2001:db8::a:0:1', '::ffff:1.2.3.4'];
    const { cert, key } = await makeSelfSigned(hosts, 1);
    const made = new X509Certificate(cert);
    for (const host of hosts.slice(1)) assert.ok(made.checkIP(host) !== undefined, host);
    assert.ok(made.checkHost('etcd.example') !== undefined);
    assert.match(key, /^-----BEGIN PRIVATE KEY-----\n/);
    assert.equal(made.ca, false);
  });

  test('replaces a certificate that has expired', async () => {
    const folder = await tempDir('auto-tls');
    const old = await files.ca.issue('stale', { hosts: ['127.0.0.1'], notAfter: -1 });
    const { selfSignedFiles } = await import('../../src/tls/self-signed.ts');
    await copyFile(old.cert, join(folder, 'cert.pem'));
    await copyFile(old.key, join(folder, 'key.pem'));
    const made = await selfSignedFiles({ folder, years: 1, hosts: ['localhost'] });
    assert.ok(Date.parse(new X509Certificate(readFileSync(made.cert.path)).validTo) > Date.now());
    await writeFile(made.cert.path, 'not a certificate');
    const { cert } = await selfSignedFiles({ folder, years: 1, hosts: ['localhost'] });
    assert.equal(readFileSync(cert.path, 'utf8'), 'not a certificate', 'a foreign file is never overwritten');
  });
});
