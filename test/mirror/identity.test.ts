/**
 * Mirrors and auth. What a mirror knows is shown to nobody whom etcd would refuse: linearizable reads never, serializable
 * ones not for longer than the second for which a permission counts.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { until } from '../clients/wait.ts';
import { bytes, connect } from '../reads/clients.ts';
import { metric } from '../reads/metrics.ts';
import { availableEtcds, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import {
  comparable,
  hits,
  outcomeOf,
  PREFIX,
  PREFIX_END,
  RANGE,
  rangeRequest,
  untilServing,
} from './support.ts';

const PASSWORD = 'secret';
const FLAGS = [`--cache-prefix=${PREFIX}`];
const TIMEOUT = { timeout: 90_000 };

const authOf = (address: string) => createClient(Auth, createGrpcTransport({ baseUrl: `http://${address}` }));

/** root may everything; guest reads the prefix but for its last keys. */
async function prepareAuth(address: string): Promise<void> {
  const auth = authOf(address);
  for (const name of ['root', 'guest']) {
    await auth.roleAdd({ name });
    await auth.userAdd({ name, password: PASSWORD });
    await auth.userGrantRole({ user: name, role: name });
  }
  const perm = { permType: 0, key: bytes(PREFIX), rangeEnd: bytes(`${PREFIX}x`) };
  await auth.roleGrantPermission({ name: 'guest', perm });
}

describe('mirrors and auth', async () => {
  for (const install of await availableEtcds()) {
    test(`etcd ${install.version}: auth is switched on while a mirror serves`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const etcd = held.use(await startEtcd({ install, bcryptCost: 4 }));
      const direct = connect(etcd.first.address);
      held.defer(() => direct.close());
      await prepareAuth(etcd.first.address);
      await etcd.etcdctl(['put', `${PREFIX}a`, 'secret']);
      await etcd.etcdctl(['put', `${PREFIX}z`, 'more secret']);
      const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags: FLAGS }));
      const client = connect(proxy.address);
      held.defer(() => client.close());
      await untilServing(proxy.url);

      const read = (key: string, rangeEnd = '', serializable = false) =>
        rangeRequest({ key: bytes(PREFIX + key), rangeEnd: bytes(rangeEnd), serializable });
      const kinds = [read('a'), read('z'), read('', PREFIX_END), read('', `${PREFIX}x`)];
      const all = [...kinds, read('a', '', true), read('z', '', true), read('', PREFIX_END, true)];
      for (const request of all)
        assert.equal(
          comparable(await outcomeOf(client, request)),
          comparable(await outcomeOf(direct, request)),
        );
      assert.ok((await hits(proxy.url)) >= all.length - 1);

      const auth = authOf(etcd.first.address);
      await auth.authEnable({});
      // Linearizable reads are asked for every time; the others at the latest a second later.
      for (const request of kinds) {
        const refused = await outcomeOf(direct, request);
        assert.match(String(refused), /user name is empty/);
        assert.equal(await outcomeOf(client, request), refused);
      }
      for (const request of all)
        await until(
          'an old permission has ended',
          async () => typeof (await outcomeOf(client, request)) === 'string',
        );

      // Tokens: each gets what etcd gives to it, through the mirror or not.
      const tokens: string[] = [];
      for (const name of ['root', 'guest'])
        tokens.push((await auth.authenticate({ name, password: PASSWORD })).token);
      for (const token of tokens) {
        for (const request of [...all, ...all]) {
          const [ours, theirs] = [client, direct].map((to) =>
            outcomeOf(to, request, RANGE, ['token', token]),
          );
          assert.equal(comparable((await ours) ?? ''), comparable((await theirs) ?? ''));
        }
      }
      const guest = ['token', tokens[1] as string];
      assert.equal(typeof (await outcomeOf(client, read('a', '', true), RANGE, guest)), 'object');

      // A permission that is taken away while the token lives on.
      const root = { headers: { token: tokens[0] as string } };
      await auth.roleRevokePermission(
        { role: 'guest', key: bytes(PREFIX), rangeEnd: bytes(`${PREFIX}x`) },
        root,
      );
      const refused = await outcomeOf(direct, read('a'), RANGE, guest);
      assert.equal(typeof refused, 'string');
      assert.equal(await outcomeOf(client, read('a'), RANGE, guest), refused);
      await until('the permission has ended', async () => {
        return typeof (await outcomeOf(client, read('a', '', true), RANGE, guest)) === 'string';
      });
    });
  }

  test('auth is on from the beginning: refused with a line, every read is forwarded', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const etcd = held.use(await startEtcd({ bcryptCost: 4 }));
    await prepareAuth(etcd.first.address);
    await etcd.etcdctl(['put', `${PREFIX}a`, 'secret']);
    const auth = authOf(etcd.first.address);
    await auth.authEnable({});
    const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags: FLAGS }));
    await until('the mirror is refused', async () => {
      const series = `etcd_proxy_mirror_state{prefix="${PREFIX}",state="refused"}`;
      return (await metric(proxy.url, series).catch(() => 0)) === 1;
    });
    assert.equal(proxy.stderr.filter((line) => line.includes('prefix not in memory')).length, 1);
    const client = connect(proxy.address);
    held.defer(() => client.close());
    const { token } = await auth.authenticate({ name: 'guest', password: PASSWORD });
    const request = rangeRequest({ key: bytes(`${PREFIX}a`) });
    assert.equal(typeof (await outcomeOf(client, request, RANGE, ['token', token])), 'object');
    assert.match(String(await outcomeOf(client, request)), /user name is empty/);
    assert.equal(await hits(proxy.url), 0);
  });
});
