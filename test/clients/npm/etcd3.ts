/** What programs with the `etcd3` package of npm do. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Etcd3, Range } from 'etcd3';

/** A client that closes with its block. */
class Client extends Etcd3 implements Disposable {
  constructor(address: string) {
    super({ hosts: `http://${address}` });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export async function kv(address: string): Promise<void> {
  using client = new Client(address);
  await client.put('etcd3/a').value('1');
  await client.put('etcd3/b').value('2');
  assert.equal(await client.get('etcd3/a').string(), '1');
  assert.equal(await client.get('etcd3/none').string(), null);
  assert.deepEqual(await client.getAll().prefix('etcd3/').strings(), { 'etcd3/a': '1', 'etcd3/b': '2' });
  const txn = await client
    .if('etcd3/a', 'Value', '==', '1')
    .then(client.put('etcd3/a').value('3'))
    .else(client.get('etcd3/a'))
    .commit();
  assert.equal(txn.succeeded, true);
  await client.stm().transact(async (tx) => {
    const was = await tx.get('etcd3/a').string();
    await tx.put('etcd3/a').value(`${was}4`);
  });
  assert.equal(await client.get('etcd3/a').string(), '34');
  const gone = await client.delete().prefix('etcd3/');
  assert.equal(gone.deleted, '2');
}

export async function lease(address: string): Promise<void> {
  using client = new Client(address);
  const lease = client.lease(10);
  const alive = once(lease, 'keepaliveSucceeded');
  await lease.put('etcd3/leased').value('x');
  const id = await lease.grant();
  await lease.keepaliveOnce();
  await alive;
  assert.equal(await client.get('etcd3/leased').string(), 'x');
  const left = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
  assert.equal(left.grantedTTL, '10');
  await lease.revoke();
  assert.equal(await client.get('etcd3/leased').string(), null);
}

export async function watch(address: string): Promise<void> {
  using client = new Client(address);
  const watcher = await client.watch().prefix('etcd3/watch/').withPreviousKV().create();
  const put = once(watcher, 'put');
  await client.put('etcd3/watch/1').value('here');
  assert.equal((await put)[0].value.toString(), 'here');
  const removed = once(watcher, 'delete');
  await client.delete().key('etcd3/watch/1');
  const [event, before] = await removed;
  assert.equal(event.key.toString(), 'etcd3/watch/1');
  assert.equal(before.value.toString(), 'here');
  // A second watcher shares the stream of the first.
  const other = await client.watch().key('etcd3/other').create();
  const data = once(other, 'put');
  await client.put('etcd3/other').value('too');
  assert.equal((await data)[0].value.toString(), 'too');
  await other.cancel();
  await watcher.cancel();
}

export async function lock(address: string): Promise<void> {
  using client = new Client(address);
  const held = await client.lock('etcd3/lock').ttl(10).acquire();
  await assert.rejects(
    client.lock('etcd3/lock').ttl(10).acquire(),
    /EtcdLockFailed|Failed to acquire a lock/,
  );
  await held.release();
  const result = await client.lock('etcd3/lock').do(() => Promise.resolve('done'));
  assert.equal(result, 'done');
}

export async function election(address: string): Promise<void> {
  using client = new Client(address);
  const first = client.election('etcd3/election', 10);
  const campaign = first.campaign('one');
  await once(campaign, 'elected');
  const observer = await client.election('etcd3/election', 10).observe();
  if (observer.leader() === undefined) await once(observer, 'change');
  assert.equal(observer.leader(), 'one');
  const second = client.election('etcd3/election', 10).campaign('two');
  const changed = once(observer, 'change');
  const elected = once(second, 'elected');
  await campaign.resign();
  await elected;
  await changed;
  await observer.cancel();
  await second.resign();
}

export async function users(address: string): Promise<void> {
  using client = new Client(address);
  const role = await client.role('etcd3-role').create();
  await role.grant({ permission: 'Readwrite', range: Range.prefix('etcd3/') });
  const user = await client.user('etcd3-user').create('secret');
  await user.addRole(role);
  assert.deepEqual(
    (await user.roles()).map(({ name }) => name),
    ['etcd3-role'],
  );
  await user.delete();
  await role.delete();
}
