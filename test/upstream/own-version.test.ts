/** Calls and streams of the proxy's own say which API they speak, so that etcd's count of old clients has none of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { availableEtcds, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, WatchCall } from '../support/watch-client.ts';

for (const install of await availableEtcds())
  test(`etcd ${install.version} counts what the proxy asks itself by the version of its API`, () =>
    counted(install));

async function counted(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  const count = async (version: string): Promise<readonly number[]> => {
    const page = await (await fetch(`${etcd.first.metricsUrl}/metrics`)).text();
    return ['unary', 'stream'].map((type) => {
      const series = `etcd_server_client_requests_total{client_api_version="${version}",type="${type}"}`;
      const line = page.split('\n').find((candidate) => candidate.startsWith(series));
      return Number(line?.slice(series.length) ?? 0);
    });
  };
  const before = await count('unknown');
  const { port } = new URL(etcd.first.url);
  await using proxy = await startProxy({
    endpoints: [`127.0.0.1:${port}`, `localhost:${port}`],
    flags: ['--cache-prefix=m/'],
  });
  using client = new RawGrpcClient(proxy.address);
  const serving = 'etcd_proxy_mirror_state{prefix="m/",state="serving"}';
  await until('the prefix is served', async () => (await metric(proxy.url, serving)) === 1);
  // A feed, the detector of the leader, questions of the hub, of mirrors and of health checks; none of the client's own.
  const watch = new WatchCall(client, { metadata: { hasleader: 'true' } });
  await watch.created({ key: b('a') });
  watch.progress();
  await watch.must();
  const health = await fetch(`${proxy.url}/proxy/health`);
  assert.equal(health.status, 200, await health.text());
  const [unary, streams] = (await count('3.7')) as [number, number];
  assert.ok(unary >= 4 && streams >= 4, `${unary} calls, ${streams} streams`);
  assert.deepEqual(await count('unknown'), before);
  watch.close();
}
