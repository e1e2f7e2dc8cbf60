/**
 * Everything is replaced while calls are under way: certificates, keys and the authority of both sides, by rename
 * and by symbolic links as Kubernetes turns them. No call fails, new handshakes see the new files at once, and
 * what is broken changes nothing.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { ClientTls } from '../../src/tls/client-tls.ts';
import type { EtcdCluster } from '../support/etcd.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { Authority, type Pair } from './pki.ts';
import {
  clientOptions,
  curl,
  metrics,
  series,
  startSecureEtcd,
  toEtcd,
  type Usual,
  usual,
  visit,
} from './support.ts';

let files: Usual;
let etcd: EtcdCluster;
before(async () => {
  files = await usual();
  etcd = await startSecureEtcd(files);
});
after(() => etcd?.stop());

/** The serial number of the certificate that a new client gets to see. */
function shown(address: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(clientOptions(address, files.ca, files.client), () => {
    resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

const serialOf = (path: string): string => new X509Certificate(readFileSync(path)).serialNumber;

/** Puts a file in the place of another in one step. */
async function replace(path: string, contents: string | Buffer): Promise<void> {
  await writeFile(`${path}.new`, contents);
  await rename(`${path}.new`, path);
}

/** Calls without a pause, on old connections and new ones, until it is stopped. */
class Load {
  calls = 0;
  readonly failures: string[] = [];
  readonly #stopped: Promise<unknown>;
  #running = true;

  constructor(address: string) {
    this.#stopped = Promise.all([this.#run(address, false), this.#run(address, true)]);
  }

  async #run(address: string, reconnect: boolean): Promise<void> {
    const open = (): Client => {
      const [ca, key, cert] = [files.ca.cert, files.client.key, files.client.cert].map((path) =>
        readFileSync(path),
      );
      const ssl = credentials.createSsl(ca, key, cert);
      const own = { 'grpc.use_local_subchannel_pool': 1 };
      return new Client(address, ssl, { 'grpc.ssl_target_name_override': 'localhost', ...own });
    };
    let client = open();
    while (this.#running) {
      const problem = await call(client);
      if (problem === undefined) this.calls++;
      else this.failures.push(problem);
      if (!reconnect) continue;
      client.close();
      client = open();
    }
    client.close();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#stopped;
  }
}

function call(client: Client): Promise<string | undefined> {
  const same = (bytes: Buffer): Buffer => bytes;
  const request = Buffer.from('0a0161', 'hex'); // a Range of the key "a"
  return new Promise((resolve) => {
    client.makeUnaryRequest('/etcdserverpb.KV/Range', same, same, request, (error) => {
      resolve(error === null ? undefined : error.message);
    });
  });
}

/** A folder laid out as Kubernetes lays out secrets: `tls.crt -> ..data/tls.crt`, `..data -> ..1`. */
class SecretFolder {
  readonly path: string;
  #version = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Turns the folder's content over in one step. */
  async turn(contents: Readonly<Record<string, string>>): Promise<void> {
    const before = `..${this.#version}`;
    const next = `..${++this.#version}`;
    await mkdir(join(this.path, next));
    for (const [name, from] of Object.entries(contents)) await copyFile(from, join(this.path, next, name));
    await symlink(next, join(this.path, '..data_tmp'));
    await rename(join(this.path, '..data_tmp'), join(this.path, '..data'));
    if (this.#version > 1) await rm(join(this.path, before), { recursive: true });
    else for (const name of Object.keys(contents)) await symlink(`..data/${name}`, join(this.path, name));
  }
}

describe('rotation under load', () => {
  test('of everything, as Kubernetes does it and by rename', async () => {
    const secret = new SecretFolder(await tempDir('secret'));
    const at = (name: string): string => join(secret.path, name);
    const contents = (server: Pair, proxy: Pair) => ({
      'tls.crt': server.cert,
      'tls.key': server.key,
      'proxy.crt': proxy.cert,
      'proxy.key': proxy.key,
      'ca.crt': files.ca.cert,
    });
    await secret.turn(contents(files.server, files.proxy));
    const flags = [
      ...[`--cert-file=${at('tls.crt')}`, `--key-file=${at('tls.key')}`, `--trusted-ca-file=${at('ca.crt')}`],
      ...[`--cert=${at('proxy.crt')}`, `--key=${at('proxy.key')}`, `--cacert=${at('ca.crt')}`],
    ];
    await using proxy = await startProxy({ endpoints: etcd.urls, flags });
    const load = new Load(proxy.address);
    for (let round = 1; round <= 3; round++) {
      const server = await files.ca.issue(`server${round}`, { hosts: ['localhost', '127.0.0.1'] });
      const upstream = await files.ca.issue(`proxy${round}`);
      const before = load.calls;
      if (round < 3) {
        await secret.turn(contents(server, upstream));
      } else {
        await replace(at('tls.key'), readFileSync(server.key));
        await replace(at('tls.crt'), readFileSync(server.cert));
      }
      await until('the new one is shown', async () => (await shown(proxy.address)) === serialOf(server.cert));
      await until('calls go on', () => load.calls > before + 20);
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    const text = await metrics(files, proxy);
    assert.ok(series(text, 'etcd_proxy_tls_reloads_total{side="server",result="ok"}') >= 3, text);
    assert.ok(series(text, 'etcd_proxy_tls_reloads_total{side="client",result="ok"}') >= 2);
    assert.equal(
      series(text, 'etcd_proxy_tls_certificate_expiry_timestamp_seconds{side="server"}'),
      Date.parse(new X509Certificate(readFileSync(at('tls.crt'))).validTo) / 1000,
    );
  });
});

describe('reload', () => {
  let proxy: RunningProxy;
  let crl: string;
  let server: Pair;

  before(async () => {
    server = await files.ca.issue('rotated', { hosts: ['localhost', '127.0.0.1'] });
    crl = join(files.ca.folder, 'client.crl');
    await writeFile(crl, await files.ca.revocationList([]));
    const own = [
      `--cert-file=${server.cert}`,
      `--key-file=${server.key}`,
      `--trusted-ca-file=${files.ca.cert}`,
    ];
    const flags = [...toEtcd(files), ...own, `--client-crl-file=${crl}`];
    proxy = await startProxy({ endpoints: etcd.urls, flags });
  });
  after(() => proxy?.stop());

  const reloads = async (result: string): Promise<number> =>
    series(await metrics(files, proxy), `etcd_proxy_tls_reloads_total{side="server",result="${result}"}`);

  test('a revoked certificate is refused from then on, resumed sessions too', async () => {
    const pair = await files.ca.issue('leaver');
    const options = clientOptions(proxy.address, files.ca, pair);
    const first = await visit(options);
    assert.equal(first.status, 'HTTP/1.1 200 OK', first.error);
    await replace(crl, await files.ca.revocationList([pair.serial]));
    await until('it is refused', async () => (await visit(options)).status === '');
    assert.ok(first.session !== undefined);
    assert.equal((await visit({ ...options, session: first.session })).status, '');
    assert.equal(
      (await visit(clientOptions(proxy.address, files.ca, files.client))).status,
      'HTTP/1.1 200 OK',
    );
    const revoked = '"reason":"certificate_revoked"';
    await until('it is logged', () => proxy.stderr.some((line) => line.includes(revoked)));
  });

  test('a broken new file leaves the old one in use and says so', async () => {
    const before = serialOf(server.cert);
    const good = readFileSync(server.cert);
    const failed = await reloads('failed');
    await replace(server.cert, 'nothing of use');
    await until('the failure is counted', async () => (await reloads('failed')) > failed);
    assert.equal(await shown(proxy.address), before);
    const failure = 'could not reload the TLS files';
    const line = await until('it is logged', () => proxy.stderr.find((text) => text.includes(failure)));
    assert.ok(line.includes(`--cert-file: ${server.cert}: holds no certificate`), line);
    assert.ok(!line.includes('nothing of use'));
    await rm(server.cert);
    proxy.process.signal('SIGHUP');
    await until('a missing file is said', () => proxy.stderr.some((text) => text.includes('no such file')));
    assert.equal(await shown(proxy.address), before);
    const ok = await reloads('ok');
    await replace(server.cert, good);
    await until('it recovers', async () => (await reloads('ok')) > ok);
  });

  test('SIGHUP reads the files again', async () => {
    const ok = await reloads('ok');
    proxy.process.signal('SIGHUP');
    await until('the reload is counted', async () => (await reloads('ok')) > ok);
  });

  test('connections to etcd use the newest authority and certificate', async () => {
    const folder = await tempDir('upstream');
    const at = (name: string): string => join(folder, name);
    const other = await Authority.create('another authority');
    const put = async (name: string, from: string): Promise<void> => replace(at(name), readFileSync(from));
    await put('ca', other.cert);
    await put('cert', files.proxy.cert);
    await put('key', files.proxy.key);
    const flags = [`--cacert=${at('ca')}`, `--cert=${at('cert')}`, `--key=${at('key')}`];
    await using beside = await startProxy({ endpoints: etcd.urls, flags });
    const healthy = async (): Promise<boolean> =>
      /"health":"true"/.test((await curl([`${beside.url}/health`])).stdout);
    assert.equal(await healthy(), false, 'etcd is of another authority');
    await put('ca', files.ca.cert);
    await until('etcd is trusted', healthy);
    const named = readFileSync(files.client.cert);
    await replace(at('cert'), named);
    await put('key', files.client.key);
    const refusal = `--cert: ${at('cert')}: cert has non empty Common Name (client)`;
    await until('a named one is refused', () => beside.stderr.some((line) => line.includes(refusal)));
    await until('the one before stays', healthy);
  });

  test('sessions with etcd are resumed until the files are read again', async () => {
    const flagged = (path: string) => ({ flag: '--flag', path });
    const pair = { cert: flagged(files.proxy.cert), key: flagged(files.proxy.key) };
    const ignore = { onLoaded() {}, onReloaded() {}, onReloadFailed() {} };
    const client = new ClientTls({ pair, ca: flagged(files.ca.cert), verify: true }, ignore);
    await client.start();
    const { target, serverName } = parseEndpoint(etcd.urls[0] as string);
    const resumed = async (): Promise<boolean> => {
      const socket = client.connect(target, serverName);
      // Its answer, etcd's SETTINGS, comes after the ticket.
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
      await once(socket, 'data');
      const reused = socket.isSessionReused();
      socket.destroy();
      return reused;
    };
    assert.deepEqual([await resumed(), await resumed(), await resumed()], [false, true, true]);
    await client.reload();
    assert.deepEqual([await resumed(), await resumed()], [false, true]);
    client.close();
  });
});
