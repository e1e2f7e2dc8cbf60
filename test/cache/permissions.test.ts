/**
 * Who may read what is remembered: nobody sees what was read by another, and nothing is served that etcd has not
 * allowed to this client within the last second, whatever happens to users, roles and auth itself meanwhile.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { PERMISSION_MS } from '../../src/clients/permission.ts';
import { bytes, clientOf } from '../reads/clients.ts';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { serializable } from './place.ts';

const RANGE = '/etcdserverpb.KV/Range';
const PASSWORD = 'secret';
const OPEN = { key: bytes('open/'), rangeEnd: bytes('open0') };
/** Of tokens that shall end while a test waits; others outlive their test on any machine. */
const SHORT_TTL_SECONDS = 3;
/** A token that is used so often must live on: the cache asks etcd again after at most {@link PERMISSION_MS}. */
const USED_MS = 1000 * SHORT_TTL_SECONDS - PERMISSION_MS - 500;
const TTL_SECONDS = 300;

type AuthClient = Client<typeof Auth>;

const as = (token: string) => ({ headers: { token } });

/** Makes root, who may everything, and guest, who may read `open/`. */
async function makeUsers(auth: AuthClient): Promise<void> {
  for (const name of ['root', 'guest']) {
    await auth.roleAdd({ name });
    await auth.userAdd({ name, password: PASSWORD });
    await auth.userGrantRole({ user: name, role: name });
  }
  await auth.roleGrantPermission({ name: 'guest', perm: { permType: 0, ...OPEN } });
}

/** An etcd with users and a proxy in front of it; auth is off. */
async function setUp(held: AsyncDisposableStack, install: EtcdInstall, authTokenTtlSeconds = TTL_SECONDS) {
  const etcd = held.use(await startEtcd({ install, bcryptCost: 4, authTokenTtlSeconds }));
  const proxy = held.use(await startProxy({ endpoints: etcd.endpoints }));
  const kv = clientOf(etcd.first.address);
  for (const key of ['open/a', 'closed']) await kv.put({ key: bytes(key), value: bytes(`value of ${key}`) });
  const authAt = (baseUrl: string): AuthClient => createClient(Auth, createGrpcTransport({ baseUrl }));
  const client = held.use(new RawGrpcClient(proxy.address));
  const direct = held.use(new RawGrpcClient(etcd.first.address));
  await makeUsers(authAt(etcd.first.url));
  const tokenOf = async (name: string) =>
    (await authAt(etcd.first.url).authenticate({ name, password: PASSWORD })).token;

  async function ask(at: RawGrpcClient, key: string, token?: string): Promise<string> {
    const request = serializable(key === 'open/' ? OPEN : { key: bytes(key) });
    const { code, message, messages } = await at.call(
      RANGE,
      [request],
      token === undefined ? {} : { metadata: { token } },
    );
    if (code !== 0) return `${code} ${message}`;
    return fromBinary(RangeResponseSchema, messages[0] as Uint8Array)
      .kvs.map(({ value }) => Buffer.from(value).toString())
      .join();
  }
  const hits = () => metric(proxy.url, 'etcd_proxy_cache_hits_total');
  /** Reads until the answer comes from memory. */
  async function warm(key: string, token?: string): Promise<void> {
    const before = await hits();
    await until('a hit', async () => {
      assert.match(await ask(client, key, token), /^value of/);
      return (await hits()) > before;
    });
  }
  return { etcd, proxy, client, direct, authAt, tokenOf, ask, warm };
}

for (const install of await outerEtcds()) {
  describe(`permissions, etcd ${install.version}`, { concurrency: true }, () => {
    test('auth switched on ends what nobody in particular may read', async () => {
      await using held = new AsyncDisposableStack();
      const { etcd, proxy, client, direct, authAt, tokenOf, ask, warm } = await setUp(held, install);
      await warm('closed');
      await authAt(etcd.first.url).authEnable({});
      const end = performance.now() + PERMISSION_MS;
      while (performance.now() < end) await ask(client, 'closed');
      const refusal = await ask(direct, 'closed');
      assert.match(refusal, /user name is empty/);
      for (let i = 0; i < 20; i++) assert.equal(await ask(client, 'closed'), refusal);

      await authAt(etcd.first.url).authDisable({}, as(await tokenOf('root')));
      await until('auth to be off', async () => (await ask(client, 'closed')) === 'value of closed');
      await warm('closed');
      await authAt(proxy.url).authEnable({});
      assert.equal(await ask(client, 'closed'), refusal, 'switched on through the proxy, at once');
    });

    test('nobody gets what another has read, and a lost permission is lost', async () => {
      await using held = new AsyncDisposableStack();
      const { etcd, proxy, client, direct, authAt, tokenOf, ask, warm } = await setUp(held, install);
      await authAt(etcd.first.url).authEnable({});
      const root = await tokenOf('root');
      const guest = await tokenOf('guest');
      await warm('closed', root);
      await warm('open/', guest);
      for (const token of [guest, undefined, 'forged.1'])
        for (const key of ['closed', 'closed'])
          assert.equal(await ask(client, key, token), await ask(direct, key, token));

      const revoke = { role: 'guest', ...OPEN };
      await authAt(etcd.first.url).roleRevokePermission(revoke, as(await tokenOf('root')));
      const end = performance.now() + PERMISSION_MS;
      while (performance.now() < end) await ask(client, 'open/', guest);
      assert.match(await ask(client, 'open/', guest), /^7 etcdserver: permission denied/);

      await authAt(etcd.first.url).roleGrantPermission(
        {
          name: 'guest',
          perm: { permType: 0, ...OPEN },
        },
        as(await tokenOf('root')),
      );
      await warm('open/', guest);
      // reads that etcd allows while it is being told otherwise
      let revoked = false;
      const readers = Array.from({ length: 8 }, async () => {
        while (!revoked) await ask(client, 'open/', guest);
      });
      await authAt(proxy.url).roleRevokePermission(revoke, as(await tokenOf('root')));
      revoked = true;
      assert.match(await ask(client, 'open/', guest), /^7 etcdserver: permission denied/);
      await Promise.all(readers);
    });

    test('a token ends for the cache when it ends for etcd, and not while it is used', async () => {
      await using held = new AsyncDisposableStack();
      const { etcd, client, authAt, tokenOf, ask, warm } = await setUp(held, install, SHORT_TTL_SECONDS);
      await authAt(etcd.first.url).authEnable({});
      const used = async (): Promise<string | undefined> => {
        const token = await tokenOf('guest');
        let [last, longest] = [performance.now(), 0];
        for (const end = last + 2000 * SHORT_TTL_SECONDS; last < end; await sleep(100)) {
          const answer = await ask(client, 'open/', token);
          const now = performance.now();
          longest = Math.max(longest, now - last);
          last = now;
          if (answer === 'value of open/a') continue;
          assert.ok(longest > USED_MS, `${answer}, though used every ${longest} ms`);
          return undefined;
        }
        return token;
      };
      const guest = await until('a token that the machine let us use all the time', used);
      await warm('open/', guest);
      await until('its end', async () => {
        // Every use lengthens its life.
        await sleep(1000 * (SHORT_TTL_SECONDS + 3));
        return /^16 etcdserver: invalid auth token/.test(await ask(client, 'open/', guest));
      });
    });
  });
}
