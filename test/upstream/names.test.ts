/** A name with several addresses is an endpoint: it is looked up for each connection, and every address gets its turn. */
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { describe, test } from 'node:test';
import { KV } from '../../src/etcd/methods.ts';
import { returnPort, takePort } from '../support/ports.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { ask, inUse } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
const LIMIT_MS = 20_000;

type Lookup = (
  host: string,
  options: dns.LookupOptions,
  done: (error: Error | null, found: dns.LookupAddress[]) => void,
) => void;

/** Members behind the addresses of one name, which may change. */
async function setUp(held: AsyncDisposableStack, hosts = HOSTS) {
  const port = await takePort();
  held.defer(() => returnPort(port));
  const members: ScriptedEtcd[] = [];
  for (const host of hosts) {
    const member = held.use(await ScriptedEtcd.start());
    held.use(await Relay.open(member.address, { listen: { host, port } }));
    members.push(member);
  }
  const name = { addresses: [...HOSTS], lookups: 0 };
  const original = dns.lookup;
  held.defer(() => {
    dns.lookup = original;
  });
  const lookup: Lookup = (_host, _options, done) => {
    name.lookups++;
    const found = name.addresses.map((address) => ({ address, family: 4 }));
    setImmediate(() => done(null, found));
  };
  dns.lookup = lookup as typeof dns.lookup;
  const { cluster } = connectTo([{ address: `members.test:${port}` }]);
  held.defer(() => cluster.close());
  await inUse(cluster);
  return { members, cluster, name };
}

describe('a name with several addresses', () => {
  test('is connected by the one that there is', async () => {
    await using held = new AsyncDisposableStack();
    const { members, cluster } = await setUp(held, HOSTS.slice(2));
    await ask(cluster, KV.Put);
    assert.equal(members[0]?.count(KV.Put.path), 1);
  });

  test('has a member that hangs: another address is found, whichever it is', async () => {
    await using held = new AsyncDisposableStack();
    const { members, cluster } = await setUp(held);
    for (let round = 0; round < 3; round++) {
      const before = members.map((member) => member.count(KV.Range.path));
      await ask(cluster, KV.Range);
      const used = members.find((member, i) => member.count(KV.Range.path) > (before[i] as number));
      assert.ok(used);
      used.calls = used.question = 'silence';
      await ask(cluster, KV.Range);
      assert.equal(used.connections > 0 || used.count(KV.Range.path) > 0, true);
      used.calls = used.question = 'serve';
    }
  });

  test('is looked up again for each connection', async () => {
    await using held = new AsyncDisposableStack();
    const { members, cluster, name } = await setUp(held);
    const before = name.lookups;
    name.addresses = [HOSTS[2] as string];
    for (const member of members.slice(0, 2)) await member[Symbol.asyncDispose]();
    await until(
      'the last one has the call',
      async () => {
        await ask(cluster, KV.Range);
        return (members[2]?.count(KV.Range.path) ?? 0) > 0;
      },
      LIMIT_MS,
    );
    assert.ok(before > 0 && name.lookups >= before);
    for (const member of members.slice(0, 2)) await member.listen();
  });
});
