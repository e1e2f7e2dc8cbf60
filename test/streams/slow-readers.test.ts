/** Clients that open large replies and read none of them: they cost what is bounded, and nobody else notices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, connectTo } from '../failover/load.ts';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { WatchCall } from '../support/watch-client.ts';
import { envelope, openStream, type RawStream, residentBytes } from './raw-stream.ts';

const MIB = 1 << 20;
/** Larger than the window of a stream of the proxy's to etcd. */
const STORE_MIB = 8;
/** So many stopped snapshots fill the window of the connection, and what is kept beside it, more than once. */
const SNAPSHOTS = 240;
/** What is kept for paused streams and the windows of the clients' streams, and then some. */
const BOUND_BYTES = 320 * MIB;
const LIMITS = 'etcd_proxy_upstream_http2_limits_total{limit="maxHeldBytes"}';

test('snapshots that nobody reads do not stop the proxy', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const direct = connectTo(etcd.first.url);
  for (let i = 0; i < STORE_MIB; i++)
    await direct.kv.put({ key: bytes(`big${i}`), value: Buffer.alloc(MIB, i) });
  const { kv } = connectTo(proxy.url);
  using client = new RawGrpcClient(proxy.address);
  const watch = new WatchCall(client);
  await watch.created({ key: bytes('small') });
  const before = residentBytes(proxy.process.pid);

  const opened: RawStream[] = [];
  using stack = new DisposableStack();
  let ended = 0;
  while (opened.length < SNAPSHOTS) {
    const raw = stack.use(openStream(proxy.url, '/etcdserverpb.Maintenance/Snapshot'));
    raw.stream.on('trailers', () => ended++);
    raw.stream.end(envelope(Buffer.alloc(0)));
    opened.push(raw);
    // All the time a write, its event and a read come through.
    if (opened.length % 20 !== 0) continue;
    await kv.put({ key: bytes('small'), value: bytes(String(opened.length)) }, { timeoutMs: 20_000 });
    const { events } = await watch.must(20_000);
    assert.equal(Buffer.from(events[0]?.kv?.value ?? []).toString(), String(opened.length));
    const { kvs } = await kv.range({ key: bytes('small') }, { timeoutMs: 20_000 });
    assert.equal(Buffer.from(kvs[0]?.value ?? []).toString(), String(opened.length));
  }
  await until('a limit is reached', async () => {
    await kv.range({ key: bytes('small') });
    return (await metric(proxy.url, LIMITS).catch(() => 0)) > 0;
  });
  const grown = residentBytes(proxy.process.pid) - before;
  assert.ok(grown < BOUND_BYTES, `grew by ${grown >> 20} MiB`);
  assert.equal(ended, 0, 'who does not read does not learn of the end either');

  // One that was let go reads what the proxy had sent it, and then learns why there is no more. It is among the first.
  for (const raw of opened) {
    const trailers = await readToEnd(raw);
    if (trailers['grpc-status'] === '0') continue;
    assert.equal(trailers['grpc-status'], '14');
    assert.match(decodeURIComponent(String(trailers['grpc-message'])), /does not keep up/);
    return;
  }
  assert.fail('nobody was let go');
});

/** Reads a stream; its trailers. */
async function readToEnd({ stream }: RawStream): Promise<Record<string, unknown>> {
  let trailers: Record<string, unknown> = {};
  stream.on('trailers', (fields) => {
    trailers = fields;
  });
  stream.resume();
  await new Promise((resolve) => stream.once('close', resolve));
  return trailers;
}
