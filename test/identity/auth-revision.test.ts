/** The number that moves with users, roles and permissions: read from every etcd at hand, and from servers that are none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { AuthRevision } from '../../src/clients/auth-revision.ts';
import { KV } from '../../src/etcd/methods.ts';
import { OWN_METADATA } from '../../src/etcd/own-metadata.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import type { EtcdPage, NoPage } from '../../src/rpc/pages.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { EndpointPages } from '../../src/upstream/endpoint-pages.ts';
import { bytes, connect } from '../reads/clients.ts';
import { atLeast, availableEtcds, newestEtcd, startEtcd } from '../support/etcd.ts';
import { takePort } from '../support/ports.ts';

const TIMEOUT = { timeout: 60_000 };

/** Asks a member as the proxy does. */
function revisionOf(held: DisposableStack, address: string): AuthRevision {
  const cluster = connect(address);
  held.defer(() => cluster.close());
  const endpoint = parseEndpoint(address);
  const tls = { connect: (): never => assert.fail('no TLS here') };
  const pages = new EndpointPages({ endpoint: () => endpoint, tls, observer: { onFetched: () => {} } });
  held.defer(() => pages.close());
  return new AuthRevision(pages, async (request) => {
    const call = new OwnCall(KV.Range, OWN_METADATA, performance.now() + 20_000);
    return call.inTime(cluster.unary(request, call));
  });
}

describe('on etcd', async () => {
  for (const install of await availableEtcds())
    test(
      `${install.version}: moves with every change, and is another one while auth is off`,
      TIMEOUT,
      async () => {
        using held = new DisposableStack();
        await using etcd = await startEtcd({ install, bcryptCost: 4 });
        const revision = revisionOf(held, etcd.first.address);
        const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
        for (const name of ['root', 'other']) {
          await auth.roleAdd({ name });
          await auth.userAdd({ name, password: 'pw' });
          await auth.userGrantRole({ user: name, role: name });
        }
        const off = (await revision.current()) as bigint;
        assert.ok(off < 0n, `${off} while auth is off`);
        assert.equal(await revision.current(), off, 'nothing has changed');
        await auth.authEnable({});
        const signIn = async () => ({
          headers: { token: (await auth.authenticate({ name: 'root', password: 'pw' })).token },
        });
        const before = await revision.current();
        assert.ok(before !== undefined && before > 0n);
        const perm = { permType: 0, key: bytes('/a/'), rangeEnd: bytes('/a0') };
        const range = { key: perm.key, rangeEnd: perm.rangeEnd };
        const changes: readonly (() => Promise<unknown>)[] = [
          async () => auth.roleGrantPermission({ name: 'other', perm }, await signIn()),
          async () => auth.roleRevokePermission({ role: 'other', ...range }, await signIn()),
          async () => auth.userRevokeRole({ name: 'other', role: 'other' }, await signIn()),
          async () => auth.userChangePassword({ name: 'other', password: 'another' }, await signIn()),
          async () => auth.roleDelete({ role: 'other' }, await signIn()),
          async () => auth.userDelete({ name: 'other' }, await signIn()),
        ];
        let last = before;
        for (const change of changes) {
          await change();
          const now = await revision.current();
          assert.ok(now !== undefined && now > last, `${last} became ${now}`);
          last = now;
        }
        await signIn();
        assert.equal(await revision.current(), last, 'a token moves nothing');
        // Switched off and on again: a permission from in between must not be taken for one of now.
        await auth.authDisable({}, await signIn());
        const offAgain = (await revision.current()) as bigint;
        assert.ok(-offAgain > last, `${last} became ${offAgain}`);
        await auth.authEnable({});
        const after = await revision.current();
        assert.ok(after !== undefined && after > last);
        // And on and off: one from before must not be taken for one of after that.
        await auth.authDisable({}, await signIn());
        const offLast = (await revision.current()) as bigint;
        assert.ok(offLast < offAgain, `${offAgain} became ${offLast}`);
      },
    );

  const newest = await newestEtcd();
  test('without pages on its client port: unknown', {
    ...TIMEOUT,
    skip: !atLeast(newest, 3, 6) && 'needs etcd 3.6',
  }, async () => {
    using held = new DisposableStack();
    const args = [`--listen-client-http-urls=http://127.0.0.1:${await takePort()}`];
    await using etcd = await startEtcd({ install: newest, args });
    assert.equal(await revisionOf(held, etcd.first.address).current(), undefined);
  });
});

describe('on a page', () => {
  const REFUSED = () => Promise.reject(new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty'));
  const on = (page: EtcdPage | NoPage, read = REFUSED) =>
    new AuthRevision({ get: async () => page }, read).current();
  const page = (text: string): EtcdPage => ({ status: 200, body: Buffer.from(text) });

  test('the number, as Go writes it', async () => {
    assert.equal(await on(page('# TYPE x gauge\netcd_debugging_auth_revision 7\nmore 1\n')), 7n);
    assert.equal(await on(page('\netcd_debugging_auth_revision 1.234567e+06\n')), 1_234_567n);
  });

  test('no number', async () => {
    for (const text of ['', '\n', 'x\netcd_debugging_auth_revision 7', '\netcd_debugging_auth_revision\n'])
      assert.equal(await on(page(text)), undefined, text);
    for (const number of ['NaN', '-1', '0', '7.5', '1e300', 'x', '7'.repeat(40)])
      assert.equal(await on(page(`\netcd_debugging_auth_revision ${number}\n`)), undefined, number);
    for (const none of ['not_connected', 'timeout', 'too_large'] as const)
      assert.equal(await on(none), undefined);
  });

  test('auth is off, or nobody knows whether it is on', async () => {
    const good = page('\netcd_debugging_auth_revision 7\n');
    assert.equal(await on(good, (async () => new Uint8Array()) as unknown as typeof REFUSED), -7n);
    const away = () => Promise.reject(new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader'));
    assert.equal(await on(good, away), undefined);
  });

  test('who asks while a page is on its way gets the next one, all the same', async () => {
    const fetches: ((page: EtcdPage) => void)[] = [];
    const get = () => new Promise<EtcdPage>((resolve) => fetches.push(resolve));
    const revision = new AuthRevision({ get }, REFUSED);
    const answer = (at: number, number: number) =>
      fetches[at]?.(page(`\netcd_debugging_auth_revision ${number}\n`));
    const first = revision.current();
    const [second, third] = [revision.current(), revision.current()];
    assert.equal(fetches.length, 1);
    answer(0, 5);
    assert.equal(await first, 5n);
    await new Promise(setImmediate);
    assert.equal(fetches.length, 2);
    const fourth = revision.current();
    answer(1, 6);
    assert.deepEqual(await Promise.all([second, third]), [6n, 6n]);
    await new Promise(setImmediate);
    answer(2, 7);
    assert.equal(await fourth, 7n);
    // Nothing is kept.
    void revision.current();
    assert.equal(fetches.length, 4);
  });
});
