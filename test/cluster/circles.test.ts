/** Endpoints that lead back to the proxy itself: by its own address, behind a relay, or by way of another proxy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { type EtcdMember, startEtcd } from '../support/etcd.ts';
import { peerUrl } from '../support/etcd-flags.ts';
import { returnPort, takePort } from '../support/ports.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';

const KEY = new TextEncoder().encode('circle');

const kvOf = ({ url }: RunningProxy) => createClient(KV, createGrpcTransport({ baseUrl: url }));

/** A port for a proxy that must be known before it starts. */
async function portIn(held: AsyncDisposableStack): Promise<string> {
  const port = await takePort();
  held.defer(() => returnPort(port));
  return `127.0.0.1:${port}`;
}

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => assert.fail('there is no etcd behind it'),
    (error: unknown) => ConnectError.from(error),
  );
}

/** How many calls have come in. */
async function callsOf({ url }: RunningProxy): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const counts = [...page.matchAll(/^grpc_server_started_total\{[^}]*"Range"[^}]*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

const saysSo = ({ stderr }: RunningProxy): boolean =>
  stderr.some((line) => line.includes('an endpoint that leads back to this proxy is not used'));

for (const way of ['its own address', 'a relay'] as const)
  test(`the only endpoint is the proxy itself, by ${way}`, async () => {
    await using held = new AsyncDisposableStack();
    const address = await portIn(held);
    const relay = held.use(await Relay.open(address));
    const endpoint = way === 'a relay' ? relay.address : address;
    const proxy = held.use(await startProxy({ endpoints: [endpoint], flags: [`--listen-addr=${address}`] }));
    await until('the log says so', () => saysSo(proxy));
    const { code, rawMessage } = await failure(kvOf(proxy).range({ key: KEY }, { timeoutMs: 10_000 }));
    assert.equal(code, Code.Unavailable);
    assert.equal(rawMessage, `no connection to etcd: ${endpoint} leads back to this proxy`);
    assert.ok((await callsOf(proxy)) < 5, 'nothing goes round');
  });

test('an endpoint beside etcd that is the proxy itself is not used', async () => {
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd());
  const address = await portIn(held);
  const proxy = held.use(
    await startProxy({ endpoints: [address, etcd.first.address], flags: [`--listen-addr=${address}`] }),
  );
  const kv = kvOf(proxy);
  for (let round = 0; round < 20; round++) await kv.put({ key: KEY, value: KEY });
  await until('the log says so', () => saysSo(proxy));
  await etcd.first.kill('SIGKILL');
  const { code } = await failure(kv.range({ key: KEY }, { timeoutMs: 10_000 }));
  assert.equal(code, Code.Unavailable);
  assert.ok((await callsOf(proxy)) < 5, 'nothing goes round');
  await etcd.first.start();
  await until('etcd is used again', () =>
    kv.range({ key: KEY }).then(
      () => true,
      () => false,
    ),
  );
});

const widened = ({ stderr }: RunningProxy): boolean =>
  stderr.some((line) => line.includes('none of the endpoints that were found answers'));

/** Flags by which an etcd is asked for the endpoints; by the first one it is asked through the proxy, so that it is in use by then. */
const FOUND_BY: Readonly<Record<string, (etcd: EtcdMember) => string>> = {
  'its member list': () => '--endpoints-auto-sync-interval=1s',
  'its peer port': ({ place }) => `--initial-cluster=${place.name}=${peerUrl(place)}`,
};

for (const [way, flag] of Object.entries(FOUND_BY))
  test(`etcd names the proxy itself, by ${way}: what is written down is used`, async () => {
    await using held = new AsyncDisposableStack();
    const address = await portIn(held);
    const etcd = held.use(await startEtcd({ args: [`--advertise-client-urls=http://${address}`] }));
    const flags = [`--listen-addr=${address}`, `--data-dir=${await tempDir('circle')}`, flag(etcd.first)];
    const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags }));
    const kv = kvOf(proxy);
    const served = (): Promise<boolean> =>
      kv.put({ key: KEY, value: KEY }).then(
        () => true,
        () => false,
      );
    await until('it is served', served);
    // From here on it is served without a gap.
    await until('the log says so', async () => {
      assert.ok(await served());
      return saysSo(proxy) && widened(proxy);
    });
    const before = await callsOf(proxy);
    for (let round = 0; round < 20; round++) await kv.range({ key: KEY });
    assert.equal((await callsOf(proxy)) - before, 20, 'nothing goes round');
  });

test('two proxies that are each other’s only endpoint', async () => {
  await using held = new AsyncDisposableStack();
  const [a, b] = [await portIn(held), await portIn(held)];
  const proxies = [
    held.use(await startProxy({ endpoints: [b], flags: [`--listen-addr=${a}`] })),
    held.use(await startProxy({ endpoints: [a], flags: [`--listen-addr=${b}`] })),
  ] as const;
  for (const proxy of proxies) {
    const { code } = await failure(kvOf(proxy).range({ key: KEY }, { timeoutMs: 10_000 }));
    assert.equal(code, Code.Unavailable);
    const write = await failure(kvOf(proxy).put({ key: KEY }, { timeoutMs: 10_000 }));
    assert.equal(write.code, Code.Unavailable);
  }
  await until('one of them says so', () => proxies.some(saysSo));
  for (const proxy of proxies) assert.ok((await callsOf(proxy)) < 200, 'nothing goes round');
});

test('a proxy in front of another one is no circle', async () => {
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd());
  const inner = held.use(await startProxy({ endpoints: [etcd.first.address] }));
  const outer = held.use(await startProxy({ endpoints: [inner.address] }));
  await kvOf(outer).put({ key: KEY, value: KEY });
  const { kvs } = await kvOf(outer).range({ key: KEY });
  assert.equal(kvs.length, 1);
  assert.ok(!saysSo(outer) && !saysSo(inner));
});
