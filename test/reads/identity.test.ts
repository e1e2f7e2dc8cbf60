/**
 * With auth on: the same read at the same time by users who may, who may not, who are nobody, and whose token is
 * worth nothing, every one of them traced. Each gets what etcd gives to that user alone (research: the incumbent's cache has no identity).
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { type GrpcOutcome, RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { bytes, clientOf } from './clients.ts';

const RANGE = '/etcdserverpb.KV/Range';
const PASSWORD = 'secret';

/** Makes root, who may everything, and guest, who may read `open` only, and switches auth on. */
async function switchOn(address: string): Promise<void> {
  const auth = createClient(Auth, createGrpcTransport({ baseUrl: `http://${address}` }));
  await auth.roleAdd({ name: 'root' });
  await auth.roleAdd({ name: 'guest' });
  await auth.roleGrantPermission({ name: 'guest', perm: { permType: 0, key: bytes('open') } });
  for (const name of ['root', 'guest']) {
    await auth.userAdd({ name, password: PASSWORD });
    await auth.userGrantRole({ user: name, role: name });
  }
  await auth.authEnable({});
}

describe('identities', () => {
  const held = new AsyncDisposableStack();
  const tokens = new Map<string, string | undefined>();
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = held.use(await startEtcd({ bcryptCost: 4 }));
    const relay = held.use(await Relay.open(etcd.first.address, { delayMs: 10 }));
    proxy = held.use(await startProxy({ endpoints: [relay.address] }));
    const kv = clientOf(etcd.first.address);
    for (const key of ['open', 'closed']) await kv.put({ key: bytes(key), value: bytes(`value of ${key}`) });
    await switchOn(etcd.first.address);
    const auth = createClient(Auth, createGrpcTransport({ baseUrl: proxy.url }));
    for (const name of ['root', 'guest'])
      tokens.set(name, (await auth.authenticate({ name, password: PASSWORD })).token);
    tokens.set('nobody', undefined);
    tokens.set('forged', 'forged.1'); // the number is a revision that etcd has seen, else it would wait for it
  });
  after(() => held.disposeAsync());

  let calls = 0;
  /** Labels that no two calls have in common. */
  const labels = () => {
    const text = `${++calls}`;
    return {
      traceparent: `00-${text.padStart(32, '0')}-0000000000000001-01`,
      'grpc-trace-bin': Buffer.from(text).toString('base64'),
      'x-b3-traceid': text,
      'x-request-id': text,
      'client-api-version': `3.${text}`,
    };
  };
  const ask = (client: RawGrpcClient, who: string, key: string, serializable: boolean) => {
    const request = toBinary(
      RangeRequestSchema,
      create(RangeRequestSchema, { key: bytes(key), serializable }),
    );
    const token = tokens.get(who);
    return client.call(RANGE, [request], {
      metadata: { ...labels(), ...(token !== undefined && { token }) },
    });
  };
  const gist = ({ code, message, messages: [reply] }: GrpcOutcome) => {
    const kvs = reply === undefined ? [] : fromBinary(RangeResponseSchema, reply).kvs;
    return { code, message, values: kvs.map(({ value }) => Buffer.from(value).toString()) };
  };

  for (const serializable of [false, true]) {
    test(`everyone gets their own answer, ${serializable ? 'serializable' : 'linearizable'}`, async () => {
      using direct = new RawGrpcClient(etcd.first.address);
      const clients = [new RawGrpcClient(proxy.address), new RawGrpcClient(proxy.address)] as const;
      const joined = await metric(proxy.url, 'etcd_proxy_read_joins_total');
      const asked: { who: string; key: string; outcome: Promise<GrpcOutcome> }[] = [];
      for (let i = 0; i < 40; i++) {
        for (const who of tokens.keys()) {
          for (const key of ['open', 'closed'])
            asked.push({ who, key, outcome: ask(clients[i < 20 ? 0 : 1], who, key, serializable) });
        }
      }
      for (const { who, key, outcome } of asked) {
        const expected = gist(await ask(direct, who, key, serializable));
        assert.deepEqual(gist(await outcome), expected, `${who} reads ${key}`);
        assert.equal(expected.code === 0, who === 'root' || (who === 'guest' && key === 'open'));
      }
      for (const client of clients) client.close();
      assert.ok((await metric(proxy.url, 'etcd_proxy_read_joins_total')) > joined, 'equal identities shared');
    });
  }
});
