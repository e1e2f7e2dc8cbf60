/** A proxy that follows SRV records of a name server which changes its mind. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { NAME_SERVER_PRELOAD, NameServer } from '../support/name-server.ts';
import { startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { knows, saves, uses } from './proxies.ts';

const NAME = '_etcd-client-blue._tcp.example.test';
const FAILED = 'etcd_proxy_endpoints_refreshes_total{source="discovery-srv",result="failed"}';

describe('a proxy with --discovery-srv', () => {
  test('moves with the records, stays when they are gone, and uses --endpoints before there are any', async () => {
    await using etcd = await startEtcd();
    await using server = await NameServer.open();
    await using first = await Relay.open(etcd.first.address);
    await using second = await Relay.open(etcd.first.address);
    const target = ({ address }: Relay) => ({ host: 'localhost', port: Number(address.split(':')[1]) });
    const env = {
      NODE_OPTIONS: `--import=${NAME_SERVER_PRELOAD}`,
      TEST_NAME_SERVER: server.address,
    };
    const flags = [
      '--discovery-srv=example.test',
      '--discovery-srv-name=blue',
      '--insecure-discovery',
      '--discovery-refresh-interval=100ms',
    ];
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags, env });
    await uses(proxy, 1);
    await saves(proxy, 'by --endpoints');
    assert.equal(first.connections + second.connections, 0);

    server.answers.set(NAME, [target(first)]);
    await knows(proxy, 'discovery-srv', 1);
    await until('it has moved', () => first.connections > 0);
    await saves(proxy, 'by the first record');

    server.answers.set(NAME, [target(first), target(second)]);
    await uses(proxy, 2);
    server.answers.set(NAME, [target(second)]);
    await until('it has moved again', () => second.connections > 0);
    await uses(proxy, 1);
    await saves(proxy, 'by the second record');

    for (const answer of ['nxdomain', 'servfail'] as const) {
      const failed = await metric(proxy.url, FAILED).catch(() => 0);
      server.answers.set(NAME, answer);
      await until('looks have failed', async () => (await metric(proxy.url, FAILED)) > failed + 2);
      await knows(proxy, 'discovery-srv', 1);
      await saves(proxy, answer);
    }
    const lines = proxy.stderr.filter((line) => line.includes('could not look for endpoints'));
    assert.equal(lines.length, 1, 'one line a minute');
  });
});
