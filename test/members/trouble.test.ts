/** Registrations while etcd is in trouble: another store, gone for a while, frozen, with auth on. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { bytes } from '../reads/clients.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { CutRelay } from '../watch/cut-relay.ts';
import { addressesAt, entriesIn, LIST, membersAt } from './place.ts';

const TIMEOUT = { timeout: 120_000 };
const PASSWORD = 'never in a log';
/** Longer than any proxy takes to stop by itself, on a busy machine too. */
const STOP_MS = 20_000;

function start(endpoints: readonly string[], address: string, ...more: string[]): Promise<RunningProxy> {
  const flags = ['--resolver-prefix=r', '--resolver-ttl=3', `--advertise-client-url=${address}`];
  return startProxy({ endpoints, flags: [...flags, '--dial-timeout=500ms', ...more] });
}

async function untilThere(
  etcd: EtcdCluster,
  keys: readonly string[],
  flags: readonly string[] = [],
): Promise<void> {
  await until(`${keys} are there`, async () => {
    const found = await entriesIn(etcd, 'r/', flags);
    return found.map(({ key }) => key).join() === keys.join();
  });
}

async function untilTold(proxy: RunningProxy, addresses: readonly string[]): Promise<void> {
  await until(`told ${addresses}`, async () => {
    const told = await addressesAt(proxy.address).catch(() => []);
    return told.toSorted().join() === addresses.join();
  });
}

describe('etcd', () => {
  test('has another store, empty or of another cluster: all register there', TIMEOUT, async () => {
    await using etcd = await startEtcd();
    await using other = await startEtcd();
    await using wire = await CutRelay.start(etcd.first.address);
    await using one = await start([wire.address], 'a:1');
    await using two = await start([wire.address], 'b:1');
    for (const proxy of [one, two]) await untilTold(proxy, ['a:1', 'b:1']);
    // The other store begins with fewer revisions, and with an entry of its own.
    const theirs = '{"Op":0,"Addr":"c:1","Metadata":"{\\"name\\":\\"c\\"}"}';
    await other.etcdctl(['put', 'r/c:1', theirs]);
    wire.target = other.first.address;
    wire.cut();
    await untilThere(other, ['r/a:1', 'r/b:1', 'r/c:1']);
    for (const proxy of [one, two]) await untilTold(proxy, ['a:1', 'b:1', 'c:1']);
  });

  test('is lost again and again while proxies come and go: none is missed, none stays', TIMEOUT, async () => {
    await using etcd = await startEtcd();
    await using wire = await CutRelay.start(etcd.first.address);
    // A lease of three seconds may run out while nobody has a core.
    await using proxy = await start([wire.address], 'a:1', '--resolver-ttl=30');
    await untilTold(proxy, ['a:1']);
    for (let i = 0; i < 12; i++) {
      const entry = `{"Op":0,"Addr":"b${i}:1","Metadata":"{\\"name\\":\\"b\\"}"}`;
      await etcd.etcdctl(['put', `r/b${i}:1`, entry]);
      if (i % 3 === 0) wire.cut();
      if (i % 2 === 0) await etcd.etcdctl(['del', `r/b${i}:1`]);
    }
    await untilTold(proxy, ['a:1', 'b11:1', 'b1:1', 'b3:1', 'b5:1', 'b7:1', 'b9:1'].toSorted());
    assert.equal((await entriesIn(etcd, 'r/a:1')).length, 1, 'its own lease has lived through it');
    assert.equal(
      await metric(proxy.url, 'etcd_proxy_registry_unreadable_total'),
      0,
      'the watch went on where it was',
    );
  });

  test('comes later than the proxy, and goes away before it', TIMEOUT, async () => {
    await using etcd = await startEtcd();
    await etcd.first.stop();
    await using proxy = await start(etcd.endpoints, 'a:1');
    await proxy.process.waitForLine(/cannot register/, 20_000);
    await etcd.first.start();
    await untilThere(etcd, ['r/a:1']);
    await etcd.first.kill();
    assert.equal((await proxy.stop(STOP_MS)).code, 0, 'it stops without etcd');
    assert.match(proxy.process.stderr, /could not deregister: the registration goes with its lease/);
  });

  test(
    'is frozen at the endpoint in use: the entry is kept through another one, or put anew',
    TIMEOUT,
    async () => {
      await using etcd = await startEtcd({ members: 3 });
      await using proxy = await start(etcd.endpoints, 'a:1', '--dial-keepalive-timeout=1s');
      await untilThere(etcd, ['r/a:1']);
      await proxy.process.waitForLine(/connected to etcd/, 30_000);
      // The last one: it may have left a member that had no core for a while.
      const connected = proxy.stderr.findLast((line) => line.includes('connected to etcd')) ?? '';
      const inUse = etcd.members.find(({ address }) => connected.includes(address));
      assert.ok(inUse, connected);
      inUse.pause();
      await using _ = { [Symbol.asyncDispose]: async () => inUse.resume() };
      const others = {
        install: etcd.install,
        endpoints: etcd.endpoints.filter((each) => each !== inUse.address),
      };
      await until(
        'it registers elsewhere, or stays',
        async () => {
          const registered = (await metric(proxy.url, 'etcd_proxy_registered')) === 1;
          const list = await membersAt(proxy.address, { timeoutMs: 2000 }).catch(() => undefined);
          return registered && list !== undefined && (await entriesIn(others, 'r/')).length === 1;
        },
        60_000,
      );
      assert.ok((await metric(proxy.url, 'etcd_proxy_upstream_switches_total{reason="unserving"}')) > 0);
      await untilTold(proxy, ['a:1']);
    },
  );
});

describe('auth is on', async () => {
  for (const install of await outerEtcds())
    test(
      `etcd ${install.version}: a proxy with a user registers, one without says why not`,
      TIMEOUT,
      async () => {
        await using etcd = await startEtcd({ install });
        const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
        for (const name of ['root', 'proxy']) {
          await auth.roleAdd({ name });
          await auth.userAdd({ name, password: PASSWORD });
          await auth.userGrantRole({ user: name, role: name });
        }
        const perm = { permType: 2, key: bytes('r/'), rangeEnd: bytes('r0') };
        await auth.roleGrantPermission({ name: 'proxy', perm });
        await using early = await start(etcd.endpoints, 'early:1');
        await untilThere(etcd, ['r/early:1']);
        await auth.authEnable({});
        const path = join(await tempDir('members'), 'user');
        await writeFile(path, `proxy:${PASSWORD}\n`, { mode: 0o600 });
        await using proxy = await start(etcd.endpoints, 'a:1', `--user-file=${path}`);
        await using nobody = await start(etcd.endpoints, 'z:1');
        const root = [`--user=root:${PASSWORD}`];
        await until('it is there', async () =>
          (await entriesIn(etcd, 'r/', root)).some(({ key }) => key === 'r/a:1'),
        );
        // There may be a line of another reason before it, where etcd could not be connected within half a second.
        const refused = /user name is empty.*cannot register/;
        await nobody.process.waitForLine(refused, 20_000);
        assert.equal(await metric(nobody.url, 'etcd_proxy_registered'), 0);
        assert.equal(nobody.stderr.filter((line) => refused.test(line)).length, 1);
        // The list: whoever asks does so as itself, and is refused as by etcd.
        using direct = new RawGrpcClient(etcd.first.address);
        using client = new RawGrpcClient(proxy.address);
        const { token } = await auth.authenticate({ name: 'root', password: PASSWORD });
        for (const metadata of [{}, { token: 'wrong' }, { token }]) {
          const [ours, theirs] = [
            await client.call(LIST, [new Uint8Array()], { metadata }),
            await direct.call(LIST, [new Uint8Array()], { metadata }),
          ];
          assert.deepEqual([ours.code, ours.message], [theirs.code, theirs.message]);
        }
        const told = await membersAt(proxy.address, { metadata: { token } });
        assert.ok(told.members.some(({ clientURLs }) => clientURLs[0] === 'a:1'));
        assert.deepEqual(await proxy.stop(STOP_MS), { code: 0, signal: null });
        assert.ok(!(await entriesIn(etcd, 'r/', root)).some(({ key }) => key === 'r/a:1'), 'gone at once');
        assert.equal((await nobody.stop(STOP_MS)).code, 0);
        assert.doesNotMatch(nobody.process.stderr, /deregister/);
        for (const each of [early, proxy, nobody]) assert.ok(!each.process.stderr.includes(PASSWORD));
      },
    );
});
