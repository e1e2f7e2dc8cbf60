/** etcd's own Go client, in the program of `test/tools/clientv3-probe`, over mutual TLS; skipped where Go is missing. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { test } from 'node:test';
import { runProcess } from '../support/process.ts';
import { installed, startSecureEtcd, startSecureProxy, usual } from './support.ts';

const SOURCE = join(import.meta.dirname, '..', 'tools', 'clientv3-probe');
const BINARY = resolve('.cache/bin/clientv3-probe');
const PATH = [process.env.PATH ?? '', '/usr/local/go/bin'].join(delimiter);

const skip = installed('go', PATH) ? false : 'Go, which would build the program, is not installed';

test('clientv3', { skip }, async (context) => {
  await mkdir(resolve('.cache/bin'), { recursive: true });
  const options = { cwd: SOURCE, env: { PATH, CGO_ENABLED: '0' }, limitMs: 280_000 };
  const build = await runProcess('go', ['build', '-o', BINARY, '.'], options);
  if (build.code !== 0) {
    context.skip(`the program cannot be built: ${build.stderr.slice(-500)}`);
    return;
  }
  const files = await usual();
  await using etcd = await startSecureEtcd(files);
  await using proxy = await startSecureProxy(files, etcd);
  const { client, ca } = files;
  const credentials = [`-cert=${client.cert}`, `-key=${client.key}`, `-cacert=${ca.cert}`];
  const run = (...args: string[]) => runProcess(BINARY, [`-endpoint=https://${proxy.address}`, ...args]);
  const { code, stdout, stderr } = await run(...credentials);
  assert.deepEqual([code, stdout], [0, 'kv\nwatch\nlease\nlock\n'], stderr);
});
