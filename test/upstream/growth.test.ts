/** Further connections where etcd limits streams: what is in front of it may refuse them, or close them at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KV, Lease } from '../../src/etcd/methods.ts';
import { until } from '../support/until.ts';
import { ask, inUse, Stream } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

/** What becomes of connections behind the first one. */
type Further = 'refused' | 'closed once connected' | 'passed on';

/** A balancer in front of a member. */
class Balancer implements AsyncDisposable {
  address = '';
  further: Further = 'passed on';
  accepted = 0;
  readonly #server = createServer((socket) => this.#accept(socket));
  readonly #to: number;

  private constructor(member: ScriptedEtcd) {
    this.#to = Number(member.address.split(':')[1]);
  }

  static async before(member: ScriptedEtcd): Promise<Balancer> {
    const balancer = new Balancer(member);
    balancer.#server.listen(0, '127.0.0.1');
    await once(balancer.#server, 'listening');
    balancer.address = `127.0.0.1:${(balancer.#server.address() as AddressInfo).port}`;
    return balancer;
  }

  #accept(socket: Socket): void {
    this.accepted++;
    const end = () => socket.destroy();
    socket.on('error', end);
    if (this.further === 'refused') {
      socket.resetAndDestroy();
      return;
    }
    const onward = connect(this.#to, '127.0.0.1');
    onward.on('error', end);
    onward.on('close', end);
    socket.on('close', () => onward.destroy());
    socket.pipe(onward);
    onward.pipe(socket);
    // Its SETTINGS are through.
    if (this.further === 'closed once connected') onward.once('data', () => setTimeout(end, 5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A client of a member that allows one stream on each connection, which is taken. */
async function full(held: AsyncDisposableStack) {
  const member = held.use(await ScriptedEtcd.start(7, 1));
  const balancer = held.use(await Balancer.before(member));
  const { cluster } = connectTo([balancer], { dialTimeout: 5000 });
  held.defer(() => cluster.close());
  await inUse(cluster);
  // When it is in use, the question that it was asked may not have ended yet.
  await ask(cluster, KV.Range);
  member.calls = 'silence';
  ask(cluster, KV.Range).catch(() => {}); // ends with the client
  await until('it is taken', () => member.count(KV.Range.path) === 2);
  return { member, balancer, cluster };
}

describe('a further connection', () => {
  for (const further of ['refused', 'closed once connected'] as const)
    test(`that is ${further} is tried again less and less often`, async () => {
      await using held = new AsyncDisposableStack();
      const { balancer, cluster } = await full(held);
      const before = balancer.accepted;
      balancer.further = further;
      for (let i = 0; i < 200; i++) {
        ask(cluster, KV.Range).catch(() => {}); // as meant
        await sleep(5);
      }
      const attempts = balancer.accepted - before;
      assert.ok(attempts > 1, 'not tried again');
      // Those of the surveys among them, which a lost connection is reason for.
      assert.ok(attempts < 60, `${attempts} attempts`);
    });

  test('that was refused is tried again for who waits, though nobody else comes', async () => {
    await using held = new AsyncDisposableStack();
    const { member, balancer, cluster } = await full(held);
    const before = balancer.accepted;
    balancer.further = 'refused';
    member.calls = 'serve';
    const answer = ask(cluster, KV.Range);
    await until('it is tried', () => balancer.accepted > before);
    balancer.further = 'passed on';
    assert.deepEqual(await answer, member.reply());
  });

  test('for another kind of calls is opened at once', async () => {
    await using held = new AsyncDisposableStack();
    const { member, balancer, cluster } = await full(held);
    new Stream(cluster, Lease.LeaseKeepAlive);
    await until('heartbeats have their connection', () => member.messages.length === 1);
    assert.equal(balancer.accepted, member.connections);
  });
});
