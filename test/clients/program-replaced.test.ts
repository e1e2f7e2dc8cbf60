/** The files of a running proxy are replaced, as an update does it: everything that it can do it can do without them. */
import assert from 'node:assert/strict';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { startProcess, tempDir } from '../support/process.ts';
import { clientOptions, toClients, usual, visit } from '../tls/support.ts';
import { copyTo, started } from './program/run.ts';

const READY = /"all of the program is read"/;
const KEY = Buffer.from('replaced').toString('base64');

async function call(url: string, type: string, body: string | Buffer<ArrayBuffer>): Promise<Buffer> {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  const answer = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, 200, `${url}: ${answer}`);
  return answer;
}

/** One of each that the web door serves, a request that is read on another thread among them. */
async function callAll(proxy: string): Promise<void> {
  const health = await fetch(`${proxy}/health`);
  assert.deepEqual([health.status, await health.text()], [200, '{"health":"true","reason":""}']);
  const value = 'A'.repeat(400_000);
  await call(`${proxy}/etcdserverpb.KV/Put`, 'application/json', JSON.stringify({ key: KEY, value }));
  const kvs = await call(`${proxy}/etcdserverpb.KV/Range`, 'application/json', JSON.stringify({ key: KEY }));
  assert.ok(kvs.includes(value.slice(0, 1000)));
  const range = Buffer.concat([Buffer.from([0, 0, 0, 0, 10, 0x0a, 8]), Buffer.from('replaced')]);
  const frames = await call(`${proxy}/etcdserverpb.KV/Range`, 'application/grpc-web+proto', range);
  assert.ok(frames.includes('grpc-status: 0'), frames.subarray(-100).toString('latin1'));
  const metrics = await fetch(`${proxy}/metrics`);
  assert.match(await metrics.text(), /^etcd_proxy_/m);
}

/** A proxy whose program is somewhere else, so that it can be taken away. */
async function startCopy(endpoints: readonly string[], flags: readonly string[]) {
  const folder = await tempDir('replaced');
  const args = ['start', `--endpoints=${endpoints.join(',')}`, '--listen-addr=127.0.0.1:0'];
  const process = await startProcess(await copyTo(folder), [...args, ...flags]);
  return { process, address: await started(process), dist: join(folder, 'dist') };
}

describe('a proxy whose files are replaced', () => {
  test('serves all that it can, and the pages on their own port', async () => {
    await using etcd = await startEtcd();
    const { process, address, dist } = await startCopy(etcd.endpoints, [
      '--metrics-addr=http://127.0.0.1:0',
      '--debug',
    ]);
    await using running = process;
    await running.waitForLine(READY, 30_000);
    await rm(dist, { recursive: true });
    await callAll(`http://${address}`);
    const line = running.stderr.split('\n').find((text) => text.includes('listening for metrics')) as string;
    const { address: own } = JSON.parse(line) as { address: string };
    const page = await fetch(`http://${own}/metrics`);
    assert.match(await page.text(), /^etcd_proxy_/m);
  });

  test('needs nobody who asks for the web door first, and who comes at once gets through', async () => {
    await using etcd = await startEtcd();
    const { process, address, dist } = await startCopy(etcd.endpoints, ['--debug']);
    await using running = process;
    await callAll(`http://${address}`);
    await running.waitForLine(READY, 30_000);
    await rm(dist, { recursive: true });
    await callAll(`http://${address}`);
  });

  test('reads certificates and revocation lists again', async () => {
    const files = await usual();
    const crl = join(files.ca.folder, 'client.crl');
    await writeFile(crl, await files.ca.revocationList([]));
    const flags = [...toClients(files), `--client-crl-file=${crl}`, '--debug'];
    const { process, address, dist } = await startCopy(['127.0.0.1:1'], flags);
    await using running = process;
    await running.waitForLine(READY, 30_000);
    await rm(dist, { recursive: true });
    const options = clientOptions(address, files.ca, files.client);
    assert.match((await visit(options, '/health')).status, /^HTTP\/1\.1 503 /);
    await writeFile(`${crl}.new`, await files.ca.revocationList([files.client.serial]));
    await rename(`${crl}.new`, crl);
    await running.waitForLine(/"reloaded the TLS files"/, 30_000);
    assert.equal((await visit(options)).status, '');
  });
});
