/**
 * A mirror whose proxy has a user of its own, that may read the prefix and nothing else: what it finds out with that
 * user, and how it goes on when etcd has forgotten the user's token.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { authenticate } from '../../src/clients/authenticate.ts';
import { Login } from '../../src/clients/login.ts';
import type { Arrival } from '../../src/mirror/arrivals.ts';
import type { Mirror } from '../../src/mirror/mirror.ts';
import type { Upstream } from '../../src/rpc/contract.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { bytes } from '../reads/clients.ts';
import { Backup } from '../support/backup.ts';
import { startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';
import { mirror, userOf } from './in-process.ts';
import { PREFIX, PREFIX_END } from './support.ts';

const TIMEOUT = { timeout: 90_000 };
const MIRROR = { name: 'mirror', password: 'secret' };
const ROOT = ['--user', 'root:secret'];

/** An etcd with a key in the prefix and auth on. */
async function setUp(held: AsyncDisposableStack) {
  const etcd = held.use(await startEtcd({ bcryptCost: 4 }));
  const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
  for (const name of ['root', 'mirror']) {
    await auth.roleAdd({ name });
    await auth.userAdd({ name, password: 'secret' });
    await auth.userGrantRole({ user: name, role: name });
  }
  const perm = { permType: 0, key: bytes(PREFIX), rangeEnd: bytes(PREFIX_END) };
  await auth.roleGrantPermission({ name: 'mirror', perm });
  await etcd.etcdctl(['put', `${PREFIX}a`, 'first']);
  await auth.authEnable({});
  const put = (key: string, value: string) => etcd.etcdctl([...ROOT, 'put', key, value]);
  /** A password that is set, be it the same one, ends all tokens of the user. */
  const endTokens = async () => {
    const { token } = await auth.authenticate({ name: 'root', password: 'secret' });
    await auth.userChangePassword(MIRROR, { headers: { token } });
  };
  return { etcd, put, endTokens };
}

const appliedOf = (one: Mirror) => one.store?.applied ?? 0;

describe("the proxy's own user", () => {
  test('etcd is set back to a backup: the mirror finds out by itself', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { etcd, put } = await setUp(held);
    const member = etcd.first;
    const backup = held.use(await Backup.of(member));
    for (let i = 0; i < 5; i++) await put(`${PREFIX}a`, 'lost with the backup');
    const { mirrors } = await mirror(held, member.address, PREFIX, undefined, userOf(MIRROR));
    const one = mirrors.all[0] as Mirror;
    const before = appliedOf(one);
    await backup.restore();
    // A token of the lost past has etcd wait for the place in its log that the token names.
    for (let i = 0; i < 15; i++) await etcd.etcdctl([...ROOT, 'lease', 'grant', '60']);
    await until('it is loaded again', () => one.inSync && appliedOf(one) < before, 30_000);
    assert.equal(mirrors.stats.loads, 2);
  });

  test('who waits while the token is renewed hears of a write elsewhere', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { etcd, put, endTokens } = await setUp(held);
    const { mirrors } = await mirror(held, etcd.first.address, PREFIX, undefined, userOf(MIRROR));
    const one = mirrors.all[0] as Mirror;
    await endTokens();
    await etcd.first.stop();
    await until('the watch is gone', () => !one.inSync);
    const heard: string[] = [];
    const arrival: Arrival = {
      onArrived: () => heard.push('arrived'),
      onFailed: (reason) => heard.push(reason),
    };
    one.arrivals.wait(appliedOf(one) + 1, arrival);
    await etcd.first.start();
    await put('elsewhere', 'x');
    await until('it hears', () => heard.length > 0);
    assert.deepEqual(heard, ['arrived']);
    assert.equal(mirrors.stats.loads, 1);
  });

  test('a new token cannot be had for a moment: that is no refusal', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { etcd, endTokens } = await setUp(held);
    let away = false;
    const login = (upstream: Upstream) =>
      new Login(() => {
        if (!away) return authenticate(upstream, MIRROR);
        return Promise.reject(new RpcError(Code.UNAVAILABLE, 'etcdserver: request timed out'));
      });
    const { mirrors } = await mirror(held, etcd.first.address, PREFIX, undefined, login);
    const one = mirrors.all[0] as Mirror;
    away = true;
    await endTokens();
    await etcd.first.restart();
    await until('it has failed', () => mirrors.stats.failedLoads > 0);
    assert.equal(one.state, 'loading');
    away = false;
    await until('it serves again', () => one.inSync);
  });
});
