/** etcd's own Go client over mutual TLS; skipped where Go is missing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_WELL, buildProbe, noGo, runProbe } from '../support/clientv3.ts';
import { startSecureEtcd, startSecureProxy, usual } from './support.ts';

test('clientv3', { skip: noGo }, async (context) => {
  const failure = await buildProbe();
  if (failure !== undefined) {
    context.skip(failure);
    return;
  }
  const files = await usual();
  await using etcd = await startSecureEtcd(files);
  await using proxy = await startSecureProxy(files, etcd);
  const { client, ca } = files;
  const credentials = [`-cert=${client.cert}`, `-key=${client.key}`, `-cacert=${ca.cert}`];
  const { code, stdout, stderr } = await runProbe(`https://${proxy.address}`, ...credentials);
  assert.deepEqual([code, stdout], [0, ALL_WELL], stderr);
});
