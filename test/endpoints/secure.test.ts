/** Endpoints that are found, with TLS everywhere: to members, to their peer ports, and to a discovery service. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type EtcdInstall, newestEtcd, startEtcd } from '../support/etcd.ts';
import { noEtcdVariables } from '../support/etcd-member.ts';
import { NAME_SERVER_PRELOAD, NameServer } from '../support/name-server.ts';
import { takePort } from '../support/ports.ts';
import { type RunningProcess, startProcess, tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { startSecureEtcd, toEtcd, type Usual, usual } from '../tls/support.ts';
import { knows, logged, saves, uses } from './proxies.ts';

const TIMEOUT = { timeout: 120_000 };

interface SecureMember {
  readonly peer: string;
  readonly clientPort: number;
  readonly process: RunningProcess;
}

/** A member that wants certificates of clients and of peers. */
async function startMember({ ca, server }: Usual, install: EtcdInstall): Promise<SecureMember> {
  const [clientPort, peerPort] = [await takePort(), await takePort()];
  const [client, peer] = [`https://127.0.0.1:${clientPort}`, `https://127.0.0.1:${peerPort}`];
  const args = [
    ...['--name=m', `--data-dir=${join(await tempDir('secure'), 'data')}`, '--logger=zap'],
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=m=${peer}`],
    ...[`--cert-file=${server.cert}`, `--key-file=${server.key}`],
    ...[`--trusted-ca-file=${ca.cert}`, '--client-cert-auth'],
    ...[`--peer-cert-file=${server.cert}`, `--peer-key-file=${server.key}`],
    ...[`--peer-trusted-ca-file=${ca.cert}`, '--peer-client-cert-auth'],
  ];
  const process = await startProcess(install.etcd, args, { env: noEtcdVariables, keep: 100_000 });
  return { peer, clientPort, process };
}

describe('endpoints that are found, with TLS', async () => {
  const install = await newestEtcd();

  test('peer ports, SRV records and a discovery service', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const files = await usual();
    const { peer, clientPort, process } = await startMember(files, install);
    held.use(process);
    const data = async () => `--data-dir=${await tempDir('secure')}`;

    const byPeers = [...toEtcd(files), `--initial-cluster=m=${peer}`, await data()];
    const proxy = held.use(await startProxy({ endpoints: [], flags: byPeers }));
    await saves(proxy, 'found at a peer port');
    await knows(proxy, 'initial-cluster', 1);

    const stranger = held.use(
      await startProxy({ endpoints: [], flags: [`--initial-cluster=m=${peer}`, await data()] }),
    );
    await logged(stranger, /"could not look for endpoints"/);
    await uses(stranger, 0);

    const server = held.use(await NameServer.open());
    server.answers.set('_etcd-client-ssl._tcp.example.test', [{ host: 'localhost', port: clientPort }]);
    server.answers.set('_etcd-client._tcp.example.test', [{ host: 'localhost', port: 1 }]);
    const env = { NODE_OPTIONS: `--import=${NAME_SERVER_PRELOAD}`, TEST_NAME_SERVER: server.address };
    const bySrv = [...toEtcd(files), '--discovery-srv=example.test'];
    const records = held.use(await startProxy({ endpoints: [], flags: bySrv, env }));
    await knows(records, 'discovery-srv', 1);
    await uses(records, 1);
    await saves(records, 'found by SRV records');

    const service = held.use(await startSecureEtcd(files, { install }));
    const credentials = [
      `--cert=${files.client.cert}`,
      `--key=${files.client.key}`,
      `--cacert=${files.ca.cert}`,
    ];
    for (const [key, value] of [
      ['_config/size', '1'],
      ['members/1', `m=${peer}`],
      ['members/2', 'late=https://127.0.0.1:1'],
    ]) {
      const put = [
        ...credentials,
        'put',
        `/_etcd/registry/t/${key}`,
        `${value}`,
        `--endpoints=${service.first.url}`,
      ];
      const { code, stderr } = await service.etcdctl(put);
      assert.equal(code, 0, stderr);
    }
    const byService = [
      ...toEtcd(files),
      ...['--discovery-token=t', `--discovery-endpoints=${service.first.url}`],
      ...[`--discovery-cacert=${files.ca.cert}`, `--discovery-cert=${files.client.cert}`],
      ...[`--discovery-key=${files.client.key}`, await data()],
    ];
    const discovered = held.use(await startProxy({ endpoints: [], flags: byService }));
    await knows(discovered, 'discovery-token', 1);
    await saves(discovered, 'found by discovery');
  });

  test('what is plaintext is left out with --insecure-transport=false', TIMEOUT, async () => {
    const files = await usual();
    await using secure = await startSecureEtcd(files, { install });
    await using plain = await startEtcd({ install });
    const { stdout } = await plain.etcdctl(['member', 'list', '--write-out=json']);
    const { members } = JSON.parse(stdout) as { members: { peerURLs: string[] }[] };
    await using proxy = await startProxy({
      endpoints: secure.urls,
      flags: [
        ...toEtcd(files),
        '--insecure-transport=false',
        `--initial-cluster=m=${members[0]?.peerURLs[0]}`,
        `--data-dir=${await tempDir('secure')}`,
      ],
    });
    await knows(proxy, 'initial-cluster', 1);
    await logged(proxy, /"count":1,"reason":"--insecure-transport=false asks for TLS"/);
    await uses(proxy, 1);
    await saves(proxy, 'by what was written down');
  });
});
