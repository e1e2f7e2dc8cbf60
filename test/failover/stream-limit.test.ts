/**
 * An etcd that allows few streams on a connection, and more clients with a watch than all connections carry: those
 * that get none are told why, and short calls go on.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';

const LIMIT = 10;
const CLIENTS = 100;
/** So long a call waits for a stream: longer than opening the connections takes on a busy machine. */
const DIAL_TIMEOUT = '--dial-timeout=5s';
/** A call without a stream is refused long before. */
const LIMIT_MS = 20_000;

describe('too few streams for all watches', { concurrency: true }, () => {
  for (const coalescing of ['on', 'off'])
    test(`coalescing ${coalescing}`, async () => {
      await using etcd = await startEtcd({ args: [`--max-concurrent-streams=${LIMIT}`] });
      const flags = [DIAL_TIMEOUT, `--watch-coalescing=${coalescing}`];
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
      using direct = new RawGrpcClient(etcd.first.address);
      using client = new RawGrpcClient(proxy.address);
      const watches = Array.from({ length: CLIENTS }, (_, i) => {
        // Of one client each, whose watches share no stream.
        const watch = new WatchCall(client, { metadata: { token: `client ${i}` } });
        watch.create({ key: b(`k${i}`) });
        return watch;
      });
      const ended: string[] = [];
      for (const watch of watches)
        void watch.end.then(({ code, message }) => ended.push(`${code} ${message}`));
      // Short calls have a connection to themselves.
      await put(client, 'other', 'v', { timeoutMs: LIMIT_MS });
      const carried = 8 * LIMIT;
      await until(
        () => `${ended.length} watches have ended`,
        () => ended.length >= CLIENTS - carried,
      );
      await put(client, 'other', 'v', { timeoutMs: LIMIT_MS });
      const watched = () => etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
      await until('the others are at etcd', async () => (await watched()) === carried);
      assert.equal(ended.length, CLIENTS - carried);
      for (const end of ended)
        assert.match(
          end,
          /^14 .*etcd allows no more streams on its connections \(--max-concurrent-streams\)$/,
        );
      for (let i = 0; i < CLIENTS; i++) await put(direct, `k${i}`, 'v');
      let told = 0;
      for (const watch of watches) {
        for (let response = await watch.next(); response !== undefined; response = await watch.next())
          if (response.events.length > 0) {
            told++;
            break;
          }
      }
      assert.equal(told, carried);
      for (const watch of watches) watch.close();
    });
});
