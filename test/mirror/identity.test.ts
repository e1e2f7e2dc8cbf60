/**
 * Mirrors and auth. What a mirror knows is shown to nobody whom etcd would refuse: linearizable reads never, serializable
 * ones not for longer than the second for which a permission counts.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { bytes, connect } from '../reads/clients.ts';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { CutRelay } from '../watch/cut-relay.ts';
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
/** On a busy machine too, reads wait until they are answered from memory. */
const FLAGS = [`--cache-prefix=${PREFIX}`, '--cache-wait=15s'];
const TIMEOUT = { timeout: 90_000 };
const UNKNOWN_TOKEN = /invalid auth token/;

const authOf = (address: string) => createClient(Auth, createGrpcTransport({ baseUrl: `http://${address}` }));

/** root may everything; mirror reads the prefix, guest all but its last keys. */
async function prepareAuth(address: string): Promise<void> {
  const auth = authOf(address);
  for (const name of ['root', 'guest', 'mirror']) {
    await auth.roleAdd({ name });
    await auth.userAdd({ name, password: PASSWORD });
    await auth.userGrantRole({ user: name, role: name });
  }
  const perm = { permType: 0, key: bytes(PREFIX), rangeEnd: bytes(`${PREFIX}x`) };
  await auth.roleGrantPermission({ name: 'guest', perm });
  const all = { permType: 0, key: bytes(PREFIX), rangeEnd: bytes(PREFIX_END) };
  await auth.roleGrantPermission({ name: 'mirror', perm: all });
}

/** A file for `--cache-prefix-user-file`. */
async function userFile(text: string): Promise<string> {
  const path = join(await tempDir('user'), 'user');
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

describe('mirrors and auth', async () => {
  for (const install of await outerEtcds()) {
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
      assert.ok((await hits(proxy.url)) >= kinds.length, 'linearizable reads were answered from memory');

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

  for (const install of await outerEtcds()) {
    test(`etcd ${install.version}: a mirror that reads as a user of its own`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const etcd = held.use(await startEtcd({ install, bcryptCost: 4, authTokenTtlSeconds: 2 }));
      const wire = held.use(await CutRelay.start(etcd.first.address));
      const direct = connect(etcd.first.address);
      held.defer(() => direct.close());
      await prepareAuth(etcd.first.address);
      for (const key of ['a', 'b', 'z']) await etcd.etcdctl(['put', PREFIX + key, `value of ${key}`]);
      const auth = authOf(etcd.first.address);
      await auth.authEnable({});
      const flag = `--cache-prefix-user-file=${await userFile(`mirror:${PASSWORD}\n`)}`;
      const proxy = held.use(await startProxy({ endpoints: [wire.address], flags: [...FLAGS, flag] }));
      const client = connect(proxy.address);
      held.defer(() => client.close());
      await untilServing(proxy.url);

      const read = (key: string, rangeEnd = '', serializable = false) =>
        rangeRequest({ key: bytes(PREFIX + key), rangeEnd: bytes(rangeEnd), serializable });
      const requests = [false, true].flatMap((serializable) => [
        read('a', '', serializable),
        read('z', '', serializable),
        read('', PREFIX_END, serializable),
        read('', `${PREFIX}x`, serializable),
      ]);
      const loginAs = async (name: string) => [
        'token',
        (await auth.authenticate({ name, password: PASSWORD })).token,
      ];
      const sameForAll = async () => {
        for (const name of [undefined, 'root', 'guest']) {
          const login = () => (name === undefined ? [] : loginAs(name));
          let who = await login();
          for (const request of [...requests, ...requests])
            await until('an answer to a token that lives', async () => {
              const theirs = comparable(await outcomeOf(direct, request, RANGE, who));
              const ours = comparable(await outcomeOf(client, request, RANGE, who));
              // On a machine that stands still a token ends before it is used again, be it between the two.
              const isOver = name !== undefined && [theirs, ours].some((text) => UNKNOWN_TOKEN.test(text));
              if (isOver) who = await login();
              else assert.equal(ours, theirs);
              return !isOver;
            });
        }
      };
      await sameForAll();
      // At least what is linearizable: all of it for root, two in four for guest, nothing for nobody.
      assert.ok((await hits(proxy.url)) >= 8 + 4);

      // The mirror's token ends unused, and so does its watch: it goes on from where it was.
      await sleep(4500);
      wire.cut();
      const user = ['--user', `root:${PASSWORD}`];
      await etcd.etcdctl([...user, 'put', `${PREFIX}a`, 'written when the watch was gone']);
      await until('an answer from memory that the new watch has brought', async () => {
        const before = await hits(proxy.url);
        const outcome = await outcomeOf(client, read('a'), RANGE, await loginAs('root'));
        return comparable(outcome).includes('was gone') && (await hits(proxy.url)) > before;
      });
      await sameForAll();
      assert.equal(await metric(proxy.url, 'etcd_proxy_mirror_loads_total'), 1);
      const page = await (await fetch(`${proxy.url}/proxy/metrics`)).text();
      for (const text of [page, ...proxy.stderr]) assert.ok(!text.includes(PASSWORD));
    });
  }

  test('a user with another password: refused with a line, and tried again', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const etcd = held.use(await startEtcd({ bcryptCost: 4 }));
    await prepareAuth(etcd.first.address);
    await authOf(etcd.first.address).authEnable({});
    const path = await userFile('mirror:not the password');
    const flags = [...FLAGS, `--cache-prefix-user-file=${path}`];
    const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags }));
    await proxy.process.waitForLine(/authentication failed, invalid user ID or password/, 30_000);
    assert.ok(!proxy.process.stderr.includes('not the password'));
    await writeFile(path, `mirror:${PASSWORD}`);
    await untilServing(proxy.url, PREFIX, 60_000);
  });

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
    const refusals = () => proxy.stderr.filter((line) => line.includes('prefix not in memory')).length;
    await until('the line', () => refusals() > 0);
    assert.equal(refusals(), 1);
    const client = connect(proxy.address);
    held.defer(() => client.close());
    const { token } = await auth.authenticate({ name: 'guest', password: PASSWORD });
    const request = rangeRequest({ key: bytes(`${PREFIX}a`) });
    assert.equal(typeof (await outcomeOf(client, request, RANGE, ['token', token])), 'object');
    assert.match(String(await outcomeOf(client, request)), /user name is empty/);
    assert.equal(await hits(proxy.url), 0);
  });
});
