/** What clients are told of a proxy that knows no others: by the flags, by the listener they came by, and at every door. */
import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../clients/program/run.ts';
import { NamespacedProxy } from '../namespace/listeners.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { takePort } from '../support/ports.ts';
import { tempDir } from '../support/process.ts';
import { REAL_MEMBERS, type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { addressesAt, LIST, membersAt } from './place.ts';

let etcd: EtcdCluster;
before(async () => {
  etcd = await startEtcd();
});
after(() => etcd?.stop());

const start = (...flags: string[]): Promise<RunningProxy> => startProxy({ endpoints: etcd.endpoints, flags });
const portOf = (address: string): string => address.split(':').at(-1) as string;

describe('who asks for the members', () => {
  test('is told of this proxy, with the header of etcd', async () => {
    await using proxy = await start();
    const { header, members } = await membersAt(proxy.address);
    const real = await membersAt(etcd.first.address);
    assert.deepEqual(header, real.header);
    assert.deepEqual(
      members.map(({ clientURLs }) => clientURLs),
      [[proxy.address]],
    );
  });

  test('is told what the user says, to the letter', async () => {
    for (const address of ['http://bücher.example:1', 'anything']) {
      await using proxy = await start(`--advertise-client-url=${address}`);
      assert.deepEqual(await addressesAt(proxy.address), [address]);
    }
  });

  test('is told the members of etcd, where that is wanted', async () => {
    await using proxy = await start(REAL_MEMBERS);
    assert.deepEqual(await membersAt(proxy.address), await membersAt(etcd.first.address));
  });

  test('is told the same at the doors of JSON and Connect', async () => {
    await using proxy = await start();
    for (const path of ['/v3/cluster/member/list', LIST]) {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${proxy.url}${path}`, { method: 'POST', body: '{}', headers });
      const { members } = (await answer.json()) as { members: object[] };
      assert.partialDeepStrictEqual(members, [{ clientURLs: [proxy.address] }], path);
      assert.ok(!('ID' in (members[0] as object)), path);
    }
  });

  test('on all addresses of a machine is told what it dialled, else where it came in', async () => {
    await using proxy = await start('--listen-addr=0.0.0.0:0');
    const port = portOf(proxy.address);
    assert.deepEqual(await addressesAt(`127.0.0.1:${port}`), [`127.0.0.1:${port}`]);
    assert.deepEqual(await addressesAt(`localhost:${port}`), [`localhost:${port}`]);
    const asks = async (host: string): Promise<unknown> => (await listAs(Number(port), host)).members;
    for (const [host, told] of [
      ['proxy.example:4', 'proxy.example:4'],
      ['[fe80::1]:4', '[fe80::1]:4'],
      ['proxy.example', `127.0.0.1:${port}`],
      ['', `127.0.0.1:${port}`],
      ['a b:1', `127.0.0.1:${port}`],
      ['a:0', `127.0.0.1:${port}`],
    ] as const)
      assert.partialDeepStrictEqual(await asks(host), [{ clientURLs: [told] }], host);
  });

  test('on all addresses of both families too', async () => {
    await using proxy = await start('--listen-addr=[::]:0');
    const port = portOf(proxy.address);
    assert.partialDeepStrictEqual((await listAs(Number(port), '')).members, [
      { clientURLs: [`127.0.0.1:${port}`] },
    ]);
    assert.deepEqual(await addressesAt(`[::1]:${port}`), [`[::1]:${port}`]);
  });

  test('on a Unix socket is told its path', async () => {
    const path = join(await tempDir('members'), 'proxy:1');
    await using _ = await start(`--listen-addr=unix://${path}`);
    assert.deepEqual(await addressesAt(`unix://${path}`), [`unix://${path}`]);
  });

  test('by any address of --listen-client-urls is told the same', async () => {
    const port = await takePort();
    const flags = ['--resolver-prefix=urls', '--resolver-ttl=60', '--advertise-client-url=told:1'];
    await using proxy = await start(`--listen-client-urls=http://127.0.0.1:${port}`, ...flags);
    await proxy.process.waitForLine(/registered session with lease/, 20_000);
    for (const address of [proxy.address, `127.0.0.1:${port}`])
      assert.deepEqual(await addressesAt(address), ['told:1'], address);
  });

  test('by the listener of a namespace is told of that, and of no proxy that has another one', async () => {
    const flags = ['--resolver-prefix=ns', '--resolver-ttl=60', '--advertise-client-url=main:1'];
    const namespaces = ['--listen-namespace=127.0.0.1:0=a/', '--listen-namespace=0.0.0.0:0=b/'];
    const proxy = new NamespacedProxy(await start(...flags, ...namespaces));
    await using _ = proxy;
    await proxy.proxy.process.waitForLine(/registered session with lease/, 20_000);
    assert.deepEqual(await addressesAt(proxy.at('')), ['main:1']);
    assert.deepEqual(await addressesAt(proxy.at('a/')), [proxy.at('a/')]);
    const port = portOf(proxy.at('b/'));
    assert.deepEqual(await addressesAt(`localhost:${port}`), [`localhost:${port}`]);
  });

  test('through a proxy in front of a proxy is told of the one in front, or of the one behind', async () => {
    await using inner = await start();
    await using outer = await startProxy({ endpoints: [inner.address] });
    assert.deepEqual(await addressesAt(outer.address), [outer.address]);
    await using silent = await startProxy({ endpoints: [inner.address], flags: [REAL_MEMBERS] });
    assert.deepEqual(await addressesAt(silent.address), [inner.address]);
    assert.deepEqual((await membersAt(outer.address)).header, (await membersAt(etcd.first.address)).header);
  });

  test('is refused in the words of etcd what etcd refuses', async () => {
    await using proxy = await start();
    using client = new RawGrpcClient(proxy.address);
    using direct = new RawGrpcClient(etcd.first.address);
    for (const request of [Buffer.from('no message'), Buffer.of(8)]) {
      const [ours, theirs] = [await client.call(LIST, [request]), await direct.call(LIST, [request])];
      assert.deepEqual([ours.code, ours.message], [theirs.code, theirs.message]);
    }
  });
});

describe('flags that do not go together are refused in the words of the incumbent', () => {
  for (const [text, flags] of [
    ['invalid resolver-ttl 0', ['--resolver-prefix=x']],
    ['invalid resolver-ttl -4', ['--resolver-prefix=x', '--resolver-ttl=-4']],
    ['invalid resolver-prefix ""', ['--resolver-ttl=5']],
    ['invalid advertise-client-url ""', ['--resolver-prefix=x', '--resolver-ttl=5', REAL_MEMBERS]],
  ] as const)
    test(text, async () => {
      const { code, stdout, stderr } = await run(['start', '--listen-addr=127.0.0.1:0', ...flags]);
      assert.deepEqual([code, stdout, stderr], [1, '', `${text}\n`]);
    });
});

/** Asks in HTTP/1.1 with such a `Host`, which is not checked for being one; without one where it is empty. */
async function listAs(port: number, host: string): Promise<{ members?: unknown }> {
  const socket = connectTcp(port, '127.0.0.1');
  const version = host === '' ? '1.0' : '1.1';
  const head = [`POST /v3/cluster/member/list HTTP/${version}`, 'content-length: 2', 'connection: close'];
  if (host !== '') head.push(`host: ${host}`);
  socket.write(`${head.join('\r\n')}\r\n\r\n{}`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  const json = /\{.*\}/s.exec(text)?.[0];
  if (json === undefined) throw new Error(`no answer: ${text}`);
  return JSON.parse(json) as { members?: unknown };
}
