/**
 * etcd's own Go client and gRPC's naming find the registered proxies: by `Sync`, by etcd's package of names, and by its
 * resolver. Skipped where Go is missing; the bytes of an entry are compared with the incumbent's elsewhere.
 */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { buildProbe, noGo, runProbe } from '../support/clientv3.ts';
import { startEtcd } from '../support/etcd.ts';
import { REAL_MEMBERS, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { addressesAt } from './place.ts';

const failure = noGo || (await buildProbe());
const PREFIX = '___grpc_proxy_endpoint';

test('Sync, a list of names and the resolver', { skip: failure }, async () => {
  await using etcd = await startEtcd();
  const flags = [`--resolver-prefix=${PREFIX}`, '--resolver-ttl=60'];
  await using one = await startProxy({ endpoints: etcd.endpoints, flags });
  await using two = await startProxy({ endpoints: etcd.endpoints, flags });
  const both = [one.address, two.address].toSorted();
  await until(
    'both are known',
    async () => (await addressesAt(one.address)).toSorted().join() === both.join(),
  );
  const names = both.map((address) => `name ${PREFIX}/${address} ${address} {"name":"${hostname()}"}`);
  const { code, stdout, stderr } = await runProbe(one.url, `-names=${PREFIX}`);
  assert.deepEqual(
    [code, stdout.trimEnd().split('\n')],
    [0, [`sync ${both.join(' ')}`, ...names, 'resolved 1']],
    stderr,
  );
});

test('Sync without a prefix leads to the proxy itself, or where that is wanted to etcd', {
  skip: failure,
}, async () => {
  await using etcd = await startEtcd();
  await etcd.etcdctl(['put', 'p/x', '{"Op":0,"Addr":"127.0.0.1:1","Metadata":null}']);
  for (const [flags, told] of [
    [[], undefined],
    [[REAL_MEMBERS], etcd.first.url],
  ] as const) {
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
    await etcd.etcdctl(['put', 'p/x', JSON.stringify({ Op: 0, Addr: proxy.address, Metadata: null })]);
    const { code, stdout, stderr } = await runProbe(proxy.url, '-names=p');
    assert.deepEqual([code, stdout.split('\n')[0]], [0, `sync ${told ?? proxy.address}`], stderr);
  }
});
