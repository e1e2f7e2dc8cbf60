/**
 * Discovery services, real ones: etcds with the v2 and the v3 API, through which real members find each other while proxies
 * wait for them.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { atLeast, availableEtcds, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { noEtcdVariables } from '../support/etcd-member.ts';
import { takePort } from '../support/ports.ts';
import { type RunningProcess, startProcess, tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { ask, knows, logged, saves, uses } from './proxies.ts';

const TIMEOUT = { timeout: 180_000 };

const installs = await availableEtcds();
/** The first release from a minor of 3 on that is at hand. */
const release = (minor: number): EtcdInstall => {
  const install = installs.find((each) => each.minor === minor) ?? installs.at(-1);
  assert.ok(install !== undefined);
  return install;
};

/** A member that finds the others by discovery. */
async function startMember(
  install: EtcdInstall,
  name: string,
  discovery: readonly string[],
): Promise<RunningProcess> {
  const [client, peer] = [await takePort(), await takePort()].map((port) => `http://127.0.0.1:${port}`);
  const args = [
    `--name=${name}`,
    `--data-dir=${join(await tempDir('discovered'), 'data')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    '--logger=zap',
    '--log-outputs=stderr',
    ...discovery,
  ];
  return startProcess(install.etcd, args, { env: noEtcdVariables, keep: 100_000 });
}

/** Starts members one after the other beside proxies that wait for them. */
async function bootstrap(
  held: AsyncDisposableStack,
  proxies: readonly RunningProxy[],
  source: string,
  size: number,
  start: (name: string) => Promise<RunningProcess>,
): Promise<void> {
  for (let at = 0; at < size; at++) {
    for (const proxy of proxies) {
      await logged(proxy, new RegExp(`"source":"${source}","members":${at},"size":${size}`));
      await uses(proxy, 0);
    }
    held.use(await start(`m${at}`));
  }
  for (const proxy of proxies) {
    await knows(proxy, source, size);
    await uses(proxy, size);
    await saves(proxy, `written by way of ${source}`);
  }
}

describe('the v2 discovery service', () => {
  for (const size of [1, 3])
    test(`a cluster of ${size} is waited for, and used; so it is when it is full`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const old = release(4);
      const service = held.use(await startEtcd({ install: old, args: ['--enable-v2'] }));
      const relay = held.use(await Relay.open(service.first.address));
      const registry = `/v2/keys/_etcd/registry/token-${size}`;
      const put = await fetch(`${service.first.url}${registry}/_config/size`, {
        method: 'PUT',
        body: new URLSearchParams({ value: `${size}` }),
      });
      assert.equal(put.status, 201);
      const url = `http://user:secret@${relay.address}${registry}`;
      const data = await tempDir('discovery');
      const flags = [`--discovery=${url}`, `--data-dir=${data}`, '--discovery-refresh-interval=200ms'];
      const proxy = held.use(await startProxy({ endpoints: [], flags }));
      // Calls fail as they do while nobody can be connected, and the proxy lives.
      const refused = await ask(proxy, 'range', { key: 'YQ==' });
      assert.equal(refused.code, 14, JSON.stringify(refused));
      const members = [`--discovery=${service.first.url}${registry}`, '--enable-v2'];
      await bootstrap(held, [proxy], 'discovery', size, (name) => startMember(old, name, members));
      assert.ok(!proxy.process.stderr.includes('secret'));
      assert.ok(!proxy.process.stderr.includes(`token-${size}`));

      // One that comes later finds the cluster full; one that comes back needs no service at all.
      const late = held.use(
        await startProxy({ endpoints: [], flags: [...flags, `--data-dir=${await tempDir('late')}`] }),
      );
      await knows(late, 'discovery', size);
      await saves(late, 'written by one who came late');
      await until('the list is kept', () => existsSync(join(data, 'proxy', 'cluster')));
      await proxy.stop();
      relay.refuse();
      await service.stop();
      const again = held.use(await startProxy({ endpoints: [], flags }));
      await knows(again, 'discovery', size);
      await saves(again, 'written after a restart');
    });

  test(
    'a service that has no such cluster, or is none, is asked again, and ends nothing',
    TIMEOUT,
    async () => {
      await using held = new AsyncDisposableStack();
      const service = held.use(await startEtcd({ install: release(4), args: ['--enable-v2'] }));
      const registry = '/v2/keys/_etcd/registry/late';
      const data = `--data-dir=${await tempDir('none')}`;
      const flags = [`--discovery=${service.first.url}${registry}/`, data];
      const proxy = held.use(await startProxy({ endpoints: [service.first.address], flags }));
      await logged(proxy, /no cluster of this token/);
      // Meanwhile what was written down is used.
      await uses(proxy, 1);
      await saves(proxy, 'written before');
      const none = held.use(
        await startProxy({ endpoints: [], flags: ['--discovery=http://127.0.0.1:1/token', data] }),
      );
      await logged(none, /"cause":"http:\/\/127\.0\.0\.1:1: ECONNREFUSED"/);
      assert.equal(none.process.exit, undefined);
    },
  );
});

describe('the v3 discovery service', () => {
  const newest = release(7);
  for (const size of LONG ? [1, 3] : [3])
    test(`a cluster of ${size} is waited for, and used`, {
      ...TIMEOUT,
      skip: !atLeast(newest, 3, 6),
    }, async () => {
      await using held = new AsyncDisposableStack();
      const service = held.use(await startEtcd({ install: newest }));
      await service.etcdctl(['put', `/_etcd/registry/token/_config/size`, `${size}`]);
      const discovery = ['--discovery-token=token', `--discovery-endpoints=${service.first.url}`];
      const flags = [
        ...discovery,
        `--data-dir=${await tempDir('discovery')}`,
        '--discovery-refresh-interval=200ms',
      ];
      const proxy = held.use(await startProxy({ endpoints: [], flags }));
      await bootstrap(held, [proxy], 'discovery-token', size, (name) => startMember(newest, name, discovery));
    });
});
