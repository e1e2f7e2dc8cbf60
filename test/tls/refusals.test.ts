/** Who is refused, on each side, and with which reason; and which command lines never get as far. */
import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Registry } from '@prometheus-io/client';
import { parseCommandLine } from '../../src/config/command-line.ts';
import { clientTls, clientUsersFile, serverTls } from '../../src/config/tls.ts';
import { createLogger } from '../../src/observe/log.ts';
import { TlsRecords } from '../../src/observe/tls-records.ts';
import { BothSides } from '../../src/tls/both-sides.ts';
import { TlsFileError } from '../../src/tls/files.ts';
import type { EtcdCluster } from '../support/etcd.ts';
import { runProcess } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { Authority, type Pair } from './pki.ts';
import {
  clientOptions,
  healthPage,
  metrics,
  series,
  startSecureEtcd,
  startSecureProxy,
  toClients,
  toEtcd,
  type Usual,
  usual,
  visit,
} from './support.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'etcd-connect-proxy');

let files: Usual;
let other: Authority;
let etcd: EtcdCluster;

before(async () => {
  files = await usual();
  other = await Authority.create('another authority');
  etcd = await startSecureEtcd(files);
});
after(() => etcd?.stop());

describe('clients', () => {
  let proxy: RunningProxy;
  before(async () => {
    const crl = join(files.ca.folder, 'client.crl');
    const revoked = await files.ca.issue('revoked');
    await writeFile(crl, await files.ca.revocationList([revoked.serial], -1));
    proxy = await startSecureProxy(files, etcd, [`--client-crl-file=${crl}`]);
  });
  after(() => proxy?.stop());

  async function refusedFor(reason: string, pair: Pair | undefined): Promise<void> {
    const name = `etcd_proxy_tls_handshakes_failed_total{reason="${reason}"}`;
    const before = series(await metrics(files, proxy), name);
    const options = clientOptions(proxy.address, files.ca, pair);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await visit({ ...options, minVersion: version, maxVersion: version });
      assert.equal(first.status, '', `${reason} over ${version}`);
      if (first.session === undefined) continue;
      // A session that was offered before the client was refused opens no door either.
      const again = await visit({
        ...options,
        minVersion: version,
        maxVersion: version,
        session: first.session,
      });
      assert.equal(again.status, '', `${reason} over ${version}, resumed`);
    }
    await until('both are counted', async () => series(await metrics(files, proxy), name) >= before + 2);
    await until('it is logged', () => proxy.stderr.some((line) => line.includes(`"reason":"${reason}"`)));
  }

  test('without a certificate', () => refusedFor('no_certificate', undefined));

  test('with one of another authority', async () => {
    await refusedFor('unknown_authority', await other.issue('stranger'));
  });

  test('with one that has expired or is not valid yet', async () => {
    await refusedFor('certificate_expired', await files.ca.issue('old', { notAfter: -1 }));
    await refusedFor('certificate_invalid', await files.ca.issue('early', { notBefore: 1 }));
  });

  test('with a revoked one, though the revocation list is out of date', async () => {
    const pair = { cert: join(files.ca.folder, 'revoked.crt'), key: join(files.ca.folder, 'revoked.key') };
    await refusedFor('certificate_revoked', { ...pair, serial: '' });
    const allowed = await visit(clientOptions(proxy.address, files.ca, files.client));
    assert.equal(allowed.status, 'HTTP/1.1 200 OK', allowed.error);
  });

  test('and clients refuse a proxy that is not who it should be', async () => {
    const options = clientOptions(proxy.address, files.ca, files.client);
    assert.match((await visit({ ...options, servername: 'elsewhere.example' })).error, /elsewhere\.example/);
    assert.match((await visit(clientOptions(proxy.address, other, files.client))).error, /certificate/);
  });
});

describe('etcd', () => {
  /** What `/health` says of an etcd that the proxy does not want to talk to. */
  async function health(endpoints: readonly string[], flags: readonly string[]): Promise<string> {
    await using proxy = await startProxy({ endpoints, flags });
    return await healthPage([`${proxy.url}/health`]);
  }

  test('of another authority', async () => {
    const page = await health(etcd.urls, [`--cacert=${other.cert}`]);
    assert.match(page, /"health":"false".*unable to (verify|get)/);
  });

  test('without --cacert, of an authority that the system does not know', async () => {
    assert.match(await health(etcd.urls, []), /"health":"false".*unable to (verify|get)/);
  });

  test('of another name, unless nothing is verified', async () => {
    const server = await files.ca.issue('elsewhere', { hosts: ['elsewhere.example'] });
    await using wrong = await startSecureEtcd({ ...files, server });
    assert.match(
      await health(wrong.urls, toEtcd(files)),
      /"health":"false".*127\.0\.0\.1.*ERR_TLS_CERT_ALTNAME/,
    );
    const page = await health(wrong.urls, [...toEtcd(files), '--insecure-skip-tls-verify']);
    assert.match(page, /"health":"true"/);
  });

  test('with an expired certificate', async () => {
    const server = await files.ca.issue('expired', { hosts: ['127.0.0.1'], notAfter: -1 });
    await using wrong = await startSecureEtcd({ ...files, server });
    assert.match(await health(wrong.urls, toEtcd(files)), /"health":"false".*expired/);
  });

  test('that wants a certificate and gets none', async () => {
    assert.match(
      await health(etcd.urls, [`--cacert=${files.ca.cert}`]),
      /"health":"false".*certificate required/,
    );
  });

  test('that speaks plaintext', async () => {
    const { host } = new URL(etcd.first.metricsUrl);
    assert.match(await health([`https://${host}`], [`--cacert=${files.ca.cert}`]), /"health":"false".*TLS: /);
  });
});

describe('before it listens', () => {
  const started = ['start', '--endpoints=https://127.0.0.1:1', '--listen-addr=127.0.0.1:0'];

  /** What the start says; the files are read as the program reads them. */
  async function refused(flags: readonly string[], ...named: string[]): Promise<void> {
    const command = parseCommandLine([...started, ...flags], {});
    assert.ok(command.name === 'start');
    const observer = new TlsRecords(new Registry(), createLogger('error', { write() {} }));
    const { config } = command;
    const both = new BothSides(serverTls(config), clientTls(config), true, clientUsersFile(config), observer);
    await assert.rejects(both.start(), (error: Error) => {
      assert.ok(error instanceof TlsFileError, String(error));
      assert.ok(!error.message.includes('\n'));
      for (const name of named) assert.ok(error.message.includes(name), `${error.message} names ${name}`);
      return true;
    });
    both.close();
  }

  test('the program says so in one line and ends with 2', async () => {
    const { cert, key } = files.client;
    const { code, stdout, stderr } = await runProcess(PROGRAM, [
      ...started,
      `--cert=${cert}`,
      `--key=${key}`,
    ]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.equal(stderr, `etcd-connect-proxy: --cert: ${cert}: cert has non empty Common Name (client)\n`);
  });

  test('a client certificate with a common name', async () => {
    const { cert, key } = files.client;
    await refused([`--cert=${cert}`, `--key=${key}`], '--cert', cert, 'Common Name (client)');
  });

  test('a map of clients that is missing, or of clients whose certificates nobody verifies', async () => {
    const { server, ca } = files;
    const pair = [`--cert-file=${server.cert}`, `--key-file=${server.key}`];
    const missing = join(ca.folder, 'missing');
    const trusting = [...pair, `--trusted-ca-file=${ca.cert}`];
    await refused([...trusting, `--client-cn-map=${missing}`], '--client-cn-map', missing, 'no such file');
    for (const flags of [[], pair])
      assert.throws(
        () => parseCommandLine([...started, ...flags, `--client-cn-map=${server.cert}`], {}),
        /--client-cn-map needs --trusted-ca-file/,
      );
  });

  test('files that are missing, unreadable, or something else', async () => {
    const { server, client, ca } = files;
    const missing = join(ca.folder, 'missing');
    const pair = [`--cert-file=${server.cert}`, `--key-file=${server.key}`];
    await refused(
      [`--cert-file=${missing}`, `--key-file=${server.key}`],
      '--cert-file',
      missing,
      'no such file',
    );
    await refused([`--cert-file=${server.key}`, `--key-file=${server.key}`], '--cert-file', server.key);
    await refused([`--cert-file=${server.cert}`, `--key-file=${server.cert}`], '--key-file', server.cert);
    await refused(
      [`--cert-file=${server.cert}`, `--key-file=${client.key}`],
      '--key-file',
      client.key,
      'not the key',
    );
    await refused([...pair, `--trusted-ca-file=${missing}`], '--trusted-ca-file', missing);
    await refused([...pair, `--trusted-ca-file=${server.key}`], '--trusted-ca-file', server.key);
    await refused(
      [...toClients(files), `--client-crl-file=${server.cert}`],
      '--client-crl-file',
      server.cert,
    );
    await refused([`--cacert=${missing}`], '--cacert', missing);
    await refused(['--auto-tls', `--data-dir=${server.cert}`], '--data-dir', server.cert);
    const { key } = await ca.issue('guarded');
    await chmod(key, 0);
    if (process.getuid?.() !== 0)
      await refused([`--cert-file=${server.cert}`, `--key-file=${key}`], key, 'EACCES');
  });
});
