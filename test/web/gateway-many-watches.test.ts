/** Many watches of etcd's JSON on one prefix, over HTTP/1.1 and TLS with auth on and tokens of their own: one watch on etcd. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { askJson, enableAuth, JsonWatchers, rootToken } from '../support/json-watchers.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { Authority } from '../tls/pki.ts';

const WATCHES = 40;
const TOKENS = 4;

test('forty watches with four tokens of a user are one watch on etcd', async () => {
  const authority = await Authority.create();
  const server = await authority.issue('server', { hosts: ['127.0.0.1', 'localhost'] });
  await using etcd = await startEtcd({ clientTls: { certFile: server.cert, keyFile: server.key } });
  const flags = [`--cacert=${authority.cert}`, `--cert-file=${server.cert}`, `--key-file=${server.key}`];
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
  const target = { url: proxy.url.replace('http:', 'https:'), ca: await readFile(authority.cert, 'utf8') };
  await enableAuth(target);
  const tokens: string[] = [];
  for (let n = 0; n < TOKENS; n++) tokens.push(await rootToken(target));
  assert.equal(new Set(tokens).size, TOKENS);
  using watchers = new JsonWatchers();
  for (let n = 0; n < WATCHES; n++) watchers.open(target, tokens[n % TOKENS] as string, 'many/');
  await until('the watches', () => watchers.created === WATCHES);
  await until('one watch on etcd', async () => {
    const metrics = await (await fetch(`${etcd.first.metricsUrl}/metrics`)).text();
    return /^etcd_debugging_mvcc_watcher_total 1$/m.test(metrics);
  });
  await askJson(
    target,
    'kv/put',
    { key: Buffer.from('many/1').toString('base64') },
    { token: tokens[0] ?? '' },
  );
  await until('the event at all of them', () => watchers.events === WATCHES);
  assert.equal(watchers.ended, 0);
});
