/** The log lines of connections to etcd: the first of each kind, and a count of the others; the metrics have all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from '@prometheus-io/client';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { createLogger, openLog } from '../../src/observe/log.ts';
import { UpstreamRecords } from '../../src/observe/upstream-records.ts';

test('endpoints that come and go fast do not fill the log', async (t) => {
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  const registry = new Registry();
  const metrics = new UpstreamRecords(registry, {
    ...openLog('info'),
    logger: createLogger('info', { write }),
  });
  const [a, b] = [parseEndpoint('a:1'), parseEndpoint('b:1')];
  const round = (): void => {
    for (const endpoint of [a, b]) {
      metrics.onConnected(endpoint);
      metrics.onLost(endpoint, 'reset');
      metrics.onDialFailed('refused', false);
    }
  };
  for (let n = 0; n < 100; n++) round();
  const told = lines.map(({ msg, endpoint, suppressed }) => [msg, endpoint, suppressed]);
  assert.deepEqual(told, [
    ['connected to etcd', 'a:1', undefined],
    ['lost the connection to etcd', 'a:1', undefined],
    ['could not connect to etcd', undefined, undefined],
    ['connected to etcd', 'b:1', undefined],
    ['lost the connection to etcd', 'b:1', undefined],
  ]);
  assert.match(await registry.metrics(), /^etcd_proxy_upstream_connections_lost_total 200$/m);
  now += 1000;
  metrics.onLost(a, 'reset');
  assert.equal(lines.at(-1)?.suppressed, 99);
  // Attempts go on for as long as etcd is away: a line of each cause a minute.
  const before = lines.length;
  for (const [cause, leadsBack] of [
    ['refused', false],
    ['leads back', true],
    ['leads back', true],
    ['other', false],
  ] as const)
    metrics.onDialFailed(cause, leadsBack);
  assert.deepEqual(
    lines.slice(before).map(({ cause }) => cause),
    ['leads back', 'other'],
  );
});
