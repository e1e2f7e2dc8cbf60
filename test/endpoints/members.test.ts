/**
 * Endpoints that a cluster tells of its own members: by its member list and at its peer ports, on real etcds to which members
 * come. What the lists of proxies and of members that advertise nonsense lead to.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { availableEtcds, type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { noEtcdVariables } from '../support/etcd-member.ts';
import { metric } from '../support/metrics.ts';
import { takePort } from '../support/ports.ts';
import { startProcess, tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { ask, knows, logged, saves, uses } from './proxies.ts';

const TIMEOUT = { timeout: 120_000 };
const FAILED = 'etcd_proxy_endpoints_refreshes_total{source="endpoints-auto-sync-interval",result="failed"}';

/** The peer URLs of a cluster, as `--initial-cluster` takes them. */
async function initialCluster(etcd: EtcdCluster): Promise<string> {
  const { stdout } = await etcd.etcdctl(['member', 'list', '--write-out=json']);
  const { members } = JSON.parse(stdout) as { members: { name: string; peerURLs: string[] }[] };
  return members.map(({ name, peerURLs }) => `${name}=${peerURLs[0]}`).join(',');
}

describe('members that come and go', async () => {
  for (const install of await outerEtcds())
    test(
      `etcd ${install.version}: are followed by the member list and at peer ports, once they vote`,
      TIMEOUT,
      async () => {
        await using etcd = await startEtcd({ install });
        const data = await tempDir('members');
        const peers = [
          `--initial-cluster=${await initialCluster(etcd)}`,
          `--data-dir=${data}`,
          '--discovery-refresh-interval=100ms',
        ];
        await using byPeers = await startProxy({ endpoints: [], flags: peers });
        await using byList = await startProxy({
          endpoints: etcd.endpoints,
          flags: ['--endpoints-auto-sync-interval=100ms'],
        });
        const sources = [
          [byPeers, 'initial-cluster'],
          [byList, 'endpoints-auto-sync-interval'],
        ] as const;
        for (const [proxy, source] of sources) {
          await knows(proxy, source, 1);
          await saves(proxy, source);
        }
        const learner = await etcd.addLearner();
        const { stdout } = await etcd.etcdctl(['member', 'list', '--write-out=json', '--hex']);
        const { members } = JSON.parse(stdout) as { members: { ID: number; isLearner?: boolean }[] };
        assert.equal(members.length, 2);
        await learner.waitHealthy();
        for (const [proxy, source] of sources) await knows(proxy, source, 1);
        await until('it votes', async () => {
          const list = await etcd.etcdctl(['member', 'list']);
          const id = /^(\w+),.*true$/m.exec(list.stdout)?.[1];
          return id === undefined || (await etcd.etcdctl(['member', 'promote', id])).code === 0;
        });
        for (const [proxy, source] of sources) {
          await knows(proxy, source, 2);
          await uses(proxy, 2);
          await saves(proxy, `${source}, two members`);
        }
        // Nobody is left at the peer ports, nor at all: the lists stay.
        await etcd.stop();
        for (const [proxy, source] of sources) {
          await logged(proxy, /could not look for endpoints/);
          await knows(proxy, source, 2);
        }
      },
    );
});

describe('the member list', async () => {
  const all = await availableEtcds();
  const [oldest, newest] = [all[0], all.at(-1)];
  assert.ok(oldest !== undefined && newest !== undefined);

  test(
    'with auth on it is asked as the user of the proxy; without one it stays as it is',
    TIMEOUT,
    async () => {
      await using etcd = await startEtcd({ install: newest });
      const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
      for (const name of ['root', 'proxy']) {
        await auth.roleAdd({ name });
        await auth.userAdd({ name, password: 'never in a log' });
        await auth.userGrantRole({ user: name, role: name });
      }
      await auth.authEnable({});
      const path = join(await tempDir('sync'), 'user');
      await writeFile(path, 'proxy:never in a log\n', { mode: 0o600 });
      const { endpoints } = etcd;
      const sync = '--endpoints-auto-sync-interval=100ms';
      await using user = await startProxy({ endpoints, flags: [sync, `--user-file=${path}`] });
      await using nobody = await startProxy({ endpoints, flags: [sync] });
      await knows(user, 'endpoints-auto-sync-interval', 1);
      const line = await until('etcd answers or refuses', async () => {
        if (nobody.process.stderr.includes('--user-file')) return 'refused';
        return await knows(nobody, 'endpoints-auto-sync-interval', 1, 1).then(
          () => 'told',
          () => false,
        );
      });
      if (line === 'refused') {
        const lines = nobody.stderr.filter((each) => each.includes('could not look for endpoints'));
        assert.equal(lines.length, 1, 'one line');
        assert.match(lines[0] ?? '', /etcd wants a user: --user-file/);
      }
      assert.ok(!user.process.stderr.includes('never in a log'));
      await uses(nobody, 1);
    },
  );

  test("of etcd's own proxy is not followed", TIMEOUT, async () => {
    await using etcd = await startEtcd({ install: newest });
    const address = `127.0.0.1:${await takePort()}`;
    const args = ['grpc-proxy', 'start', `--endpoints=${etcd.first.address}`, `--listen-addr=${address}`];
    await using incumbent = await startProcess(newest.etcd, [...args, '--advertise-client-url=127.0.0.1:1'], {
      env: noEtcdVariables,
      cwd: await tempDir('incumbent'),
    });
    await incumbent.waitForLine(/started gRPC proxy/, 30_000);
    await using proxy = await startProxy({
      endpoints: [address],
      flags: ['--endpoints-auto-sync-interval=100ms'],
    });
    await logged(proxy, /the list is that of a proxy: not followed/);
    await saves(proxy, 'through two proxies');
    await uses(proxy, 1);
    assert.equal(proxy.stderr.filter((line) => line.includes('is that of a proxy')).length, 1);
  });

  test('whose members nobody reaches leads back to what was written down', TIMEOUT, async () => {
    const args = ['--advertise-client-urls=http://127.0.0.1:1'];
    await using etcd = await startEtcd({ install: oldest, args });
    await using proxy = await startProxy({
      endpoints: etcd.endpoints,
      flags: ['--endpoints-auto-sync-interval=100ms'],
    });
    await knows(proxy, 'endpoints-auto-sync-interval', 1);
    await logged(proxy, /none of the endpoints that were found answers/);
    await uses(proxy, 2);
    await saves(proxy, 'by the endpoint that was written down');
  });

  test(
    'of another cluster, whose member is used for want of a better one, is not followed',
    TIMEOUT,
    async () => {
      await using etcd = await startEtcd({ install: newest });
      await using other = await startEtcd({ install: newest });
      const { address } = etcd.first;
      // Two of three belong to the one that is meant.
      const endpoints = [address, address.replace('127.0.0.1', 'localhost'), other.first.address];
      await using proxy = await startProxy({ endpoints, flags: ['--endpoints-auto-sync-interval=100ms'] });
      await knows(proxy, 'endpoints-auto-sync-interval', 1);
      await saves(proxy, 'at home');
      await etcd.first.kill();
      await logged(proxy, new RegExp(`"${other.first.address}","msg":"connected to etcd"`));
      const failures = (): Promise<number> => metric(proxy.url, FAILED);
      const before = await failures();
      await until('it has looked twice', async () => (await failures()) > before + 1);
      await etcd.first.start();
      const key = Buffer.from('at home').toString('base64');
      await until('it is back', async () => 'kvs' in (await ask(proxy, 'range', { key })));
    },
  );
});
