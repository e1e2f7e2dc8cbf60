/**
 * The proxy's own user (`--user-file`) on a real etcd with auth: its tokens of either kind are replaced before they end and
 * after etcd has forgotten them, a changed password is read again, and health says what it says without auth.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Health } from '../../src/services/health.ts';
import { bytes } from '../reads/clients.ts';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { pageInTime } from '../support/health-page.ts';
import { metric } from '../support/metrics.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { newestEtcds, outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { type TokenKind, tokens } from '../watch/tokens.ts';

const PASSWORD = 'never in a log';
const TIMEOUT = { timeout: 90_000 };

/** How gRPC's health service says so. */
const SERVING = Buffer.of(8, 1);

/** An etcd whose users are root and the proxy's own, which reads `/a/`; auth is still off. */
async function setUp(held: AsyncDisposableStack, install: EtcdInstall, kind: TokenKind, seconds: number) {
  const etcd = held.use(await startEtcd({ install, ...(await tokens(kind, seconds)) }));
  const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
  for (const name of ['root', 'proxy']) {
    await auth.roleAdd({ name });
    await auth.userAdd({ name, password: PASSWORD });
    await auth.userGrantRole({ user: name, role: name });
  }
  const perm = { permType: 0, key: bytes('/a/'), rangeEnd: bytes('/a0') };
  await auth.roleGrantPermission({ name: 'proxy', perm });
  const path = join(await tempDir('own-user'), 'user');
  await writeFile(path, `proxy:${PASSWORD}\n`, { mode: 0o600 });
  return { etcd, auth, path };
}

const signIns = (proxy: RunningProxy, result = 'ok') =>
  metric(proxy.url, `etcd_proxy_sign_ins_total{user="own",result="${result}"}`).catch(() => 0);

/** All three of the proxy's words on health are good ones. */
async function assertHealthy(proxy: RunningProxy, what: string): Promise<void> {
  for (const path of ['/health', '/proxy/health']) {
    const { status, text } = await pageInTime(`${proxy.url}${path}`);
    assert.equal(status, 200, `${what}: ${path} says ${text}`);
  }
  using client = new RawGrpcClient(proxy.address);
  // Unlike a page it does not say why, and etcd may have been late.
  await until(`${what}: it serves`, async () => {
    const { messages } = await client.call(Health.Check.path, [new Uint8Array()]);
    return messages[0] !== undefined && Buffer.from(messages[0]).equals(SERVING);
  });
}

describe("the proxy's own user", async () => {
  for (const install of await outerEtcds()) {
    test(`etcd ${install.version}: health with auth on, with a user and without`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const { etcd, auth, path } = await setUp(held, install, 'simple', 60);
      const endpoints = etcd.endpoints;
      const proxies = {
        'without a user': held.use(await startProxy({ endpoints })),
        'with a user': held.use(await startProxy({ endpoints, flags: [`--user-file=${path}`] })),
      };
      for (const [who, proxy] of Object.entries(proxies)) await assertHealthy(proxy, `${who}, auth is off`);
      assert.equal(await signIns(proxies['with a user']), 0);
      await auth.authEnable({});
      for (const [who, proxy] of Object.entries(proxies)) await assertHealthy(proxy, `${who}, auth is on`);
      // etcd refused the first check, which is health enough; the ones after it come with a token.
      await until('it has signed in', async () => (await signIns(proxies['with a user'])) === 1);
      await assertHealthy(proxies['with a user'], 'signed in');
      assert.equal(await signIns(proxies['with a user']), 1);
      for (const proxy of Object.values(proxies)) assert.ok(!proxy.process.stderr.includes(PASSWORD));
    });

    test(`etcd ${install.version}: a signed token is replaced before it ends`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const { etcd, auth, path } = await setUp(held, install, 'jwt', 4);
      await auth.authEnable({});
      const flags = [`--user-file=${path}`, '--cache-prefix=/a/'];
      const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags }));
      // Nobody calls: only time can be the reason.
      await until('two more tokens', async () => (await signIns(proxy)) >= 3, 30_000);
      assert.equal(await signIns(proxy, 'failed'), 0);
      assert.equal(await metric(proxy.url, 'etcd_proxy_mirror_loads_total'), 1);
    });
  }

  for (const install of await newestEtcds())
    test(`etcd ${install.version}: another password is read again`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const { etcd, auth, path } = await setUp(held, install, 'simple', 60);
      await auth.authEnable({});
      const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags: [`--user-file=${path}`] }));
      await assertHealthy(proxy, 'at first');
      await until('it has signed in', async () => (await signIns(proxy)) === 1);
      const { token } = await auth.authenticate({ name: 'root', password: PASSWORD });
      const another = `${PASSWORD}, the second`;
      // Ends the user's tokens.
      await auth.userChangePassword({ name: 'proxy', password: another }, { headers: { token } });
      await until('the password is refused', async () => {
        await assertHealthy(proxy, 'refused');
        return (await signIns(proxy, 'failed')) > 0;
      });
      await proxy.process.waitForLine(
        /own user cannot sign in.*|"reason":"etcdserver: authentication failed/,
        10_000,
      );
      await writeFile(path, `proxy:${another}`);
      await until(
        'it has signed in with the new one',
        async () => {
          await assertHealthy(proxy, 'changed');
          return (await signIns(proxy)) === 2;
        },
        40_000,
      );
      assert.ok(!proxy.process.stderr.includes(PASSWORD));
    });
});
