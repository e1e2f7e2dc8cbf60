/** Clients of every kind through a proxy that speaks TLS on both sides and wants certificates of its clients. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { type EtcdCluster, etcdctl } from '../support/etcd.ts';
import { runProcess } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import {
  clientOptions,
  curl,
  curlTls,
  exchange,
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

let files: Usual;
let etcd: EtcdCluster;
let proxy: RunningProxy;

before(async () => {
  files = await usual();
  etcd = await startSecureEtcd(files, { unixSocket: true });
  proxy = await startSecureProxy(files, etcd, ['--metrics-addr=https://127.0.0.1:0,http://127.0.0.1:0']);
});
after(async () => {
  await proxy?.stop();
  await etcd?.stop();
});

const credentialsOfClient = (): string[] => [
  `--cert=${files.client.cert}`,
  `--key=${files.client.key}`,
  `--cacert=${files.ca.cert}`,
];

describe('mutual TLS on both sides', () => {
  test('etcdctl of old and new releases', async () => {
    for (const install of await outerEtcds()) {
      if (install.etcdctl === undefined) continue;
      const run = async (...args: string[]) => {
        const all = [...credentialsOfClient(), ...args];
        const { code, stdout, stderr } = await etcdctl(install, `https://${proxy.address}`, all);
        assert.equal(code, 0, `${install.version} ${args.join(' ')}: ${stderr}`);
        return stdout;
      };
      assert.equal(await run('put', `key-${install.version}`, 'value'), 'OK\n');
      assert.equal(await run('get', `key-${install.version}`, '--print-value-only'), 'value\n');
      assert.match(await run('endpoint', 'health'), /is healthy|^$/);
      assert.match(await run('lease', 'grant', '60'), /^lease [0-9a-f]+ granted/);
      assert.match(await run('member', 'list'), /started/);
    }
  });

  test('curl over HTTP/2, HTTP/1.1 and without ALPN', async () => {
    for (const [args, version] of [
      [[], '2'],
      [['--http1.1'], '1.1'],
      [['--no-alpn'], '1.1'],
    ] as const) {
      const page = await healthPage([
        ...args,
        ...curlTls(files.ca, files.client),
        `https://${proxy.address}/health`,
      ]);
      assert.equal(page, `{"health":"true","reason":""} ${version} 200`);
    }
    const body = JSON.stringify({ key: Buffer.from('curl').toString('base64') });
    const path = `https://${proxy.address}/etcdserverpb.KV/Range`;
    const json = ['-H', 'content-type: application/json', '-d', body, path];
    const { stdout } = await curl([...curlTls(files.ca, files.client), ...json]);
    assert.match(stdout, /"header".* 2 200$/);
  });

  test("etcd's rules for browsers, which it sends over TLS only, stay behind", async () => {
    const json = [
      '-H',
      'content-type: application/json',
      '-H',
      `origin: https://${proxy.address}`,
      '-d',
      '{}',
    ];
    const path = `https://${proxy.address}/etcdserverpb.Cluster/MemberList`;
    const { stdout } = await curl(['-i', ...curlTls(files.ca, files.client), ...json, path]);
    assert.match(stdout, /"members"/);
    assert.doesNotMatch(stdout, /access-control/i);
  });

  test('grpc-js', async () => {
    const read = (path: string) => readFileSync(path);
    const ssl = credentials.createSsl(read(files.ca.cert), read(files.client.key), read(files.client.cert));
    const client = new Client(proxy.address, ssl, { 'grpc.ssl_target_name_override': 'localhost' });
    const same = (bytes: Buffer): Buffer => bytes;
    const reply = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(
        '/etcdserverpb.Cluster/MemberList',
        same,
        same,
        Buffer.alloc(0),
        (error, value) => {
          if (error === null) resolve(value);
          else reject(error);
        },
      );
    });
    client.close();
    assert.ok((reply?.length ?? 0) > 0);
  });

  test('clients that speak one version of TLS only', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const only = { minVersion: version, maxVersion: version };
      const seen = await visit({ ...clientOptions(proxy.address, files.ca, files.client), ...only });
      assert.deepEqual([seen.status, seen.protocol], ['HTTP/1.1 200 OK', version], seen.error);
    }
  });

  test('a session that is resumed', async () => {
    const options = clientOptions(proxy.address, files.ca, files.client);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const only = { ...options, minVersion: version, maxVersion: version };
      const { session } = await visit(only);
      assert.ok(session !== undefined);
      const again = await visit({ ...only, session });
      assert.deepEqual([again.status, again.resumed], ['HTTP/1.1 200 OK', true], again.error);
    }
  });

  test('metrics on addresses of their own, over both transports', async () => {
    const addresses = proxy.stderr
      .map((line) => JSON.parse(line) as { msg: string; address: string })
      .filter(({ msg }) => msg === 'gRPC proxy listening for metrics')
      .map(({ address }) => address);
    assert.equal(addresses.length, 2);
    const [secure, plain] = addresses as [string, string];
    for (const path of ['/metrics', '/health', '/proxy/metrics', '/proxy/health']) {
      for (const args of [
        [...curlTls(files.ca, files.client), `https://${secure}${path}`],
        [`http://${plain}${path}`],
      ]) {
        const page = await healthPage(args);
        assert.match(page, / 1\.1 200$/, `${args.at(-1)}: ${page}`);
        assert.match(page, path.endsWith('health') ? /"health":"true"/ : /etcd_proxy_tls_handshakes_total/);
      }
    }
    const rpc = ['-H', 'content-type: application/json', '-d', '{}', `http://${plain}/etcdserverpb.KV/Range`];
    assert.match((await curl(rpc)).stdout, / 404$/);
  });

  test('etcd on a Unix socket with TLS', async () => {
    await using beside = await startProxy({
      endpoints: [`unixs://${etcd.first.unixSocket}`],
      flags: toEtcd(files),
    });
    const page = await healthPage([`${beside.url}/health`]);
    assert.match(page, /"health":"true"/, beside.stderr.join('\n'));
  });
});

describe('what clients may ask for', () => {
  test('versions and cipher suites that the flags allow', async () => {
    const suites = [
      'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
      'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    ];
    const flags = [...toEtcd(files), ...toClients(files), `--listen-cipher-suites=${suites.join(',')}`];
    await using narrow = await startProxy({ endpoints: etcd.urls, flags });
    const options = clientOptions(narrow.address, files.ca, files.client);
    const old = { ...options, maxVersion: 'TLSv1.2' } as const;
    const chosen = await visit({ ...old, ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' });
    assert.deepEqual([chosen.status, chosen.cipher], ['HTTP/1.1 200 OK', suites[1]]);
    assert.equal((await visit({ ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).status, '');
    assert.equal((await visit(options)).protocol, 'TLSv1.3', 'the list is about TLS 1.2');
    await using newest = await startProxy({
      endpoints: etcd.urls,
      flags: [...toEtcd(files), ...toClients(files), '--tls-min-version=TLS1.3'],
    });
    assert.equal(
      (await visit({ ...clientOptions(newest.address, files.ca, files.client), maxVersion: 'TLSv1.2' }))
        .status,
      '',
    );
    const text = await metrics(files, narrow);
    assert.equal(series(text, 'etcd_proxy_tls_handshakes_failed_total{reason="cipher_suite"}'), 1, text);
    assert.equal(
      series(await metrics(files, newest), 'etcd_proxy_tls_handshakes_failed_total{reason="version"}'),
      1,
    );
  });
});

describe('the wrong transport', () => {
  const logged = (running: RunningProxy, text: string) =>
    running.stderr.filter((line) => line.includes(text)).length;

  test('plaintext on a TLS port', async () => {
    const { stdout } = await curl([`http://${proxy.address}/health`]);
    assert.match(stdout, /^this port speaks TLS.*\n 1\.1 400$/);
    assert.match(await exchange(proxy.address, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), /^HTTP\/1\.1 400 /);
    assert.equal(await exchange(proxy.address, '\x01\x02\x03'), '');
    const install = etcd.install;
    const get = ['get', 'a', '--command-timeout=500ms', '--dial-timeout=500ms'];
    assert.notEqual((await etcdctl(install, `http://${proxy.address}`, get)).code, 0);
    await until('it is logged', () => logged(proxy, 'plaintext on a TLS port') > 0);
    assert.equal(logged(proxy, 'plaintext on a TLS port'), 1, 'one line a minute');
  });

  test('TLS on a plaintext port', async () => {
    await using plain = await startProxy({ endpoints: etcd.urls, flags: toEtcd(files) });
    for (let i = 0; i < 3; i++) {
      const { code, stderr } = await runProcess('curl', ['-sSk', `https://${plain.address}/health`]);
      assert.equal(code, 35);
      assert.match(stderr, /wrong version number/);
    }
    await until('all are counted', async () => {
      const { stdout } = await curl([`${plain.url}/metrics`]);
      return series(stdout, 'etcd_proxy_wrong_transport_total{spoken="tls"}') === 3;
    });
    await until('it is logged', () => logged(plain, 'TLS on a plaintext port') > 0);
    assert.equal(logged(plain, 'TLS on a plaintext port'), 1, 'one line a minute');
  });
});
