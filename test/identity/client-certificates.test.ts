/**
 * Clients that are users of etcd by their certificates (`--client-cn-map`): they may what their user may, through every
 * door, and hear nothing of tokens. Beside them are clients that the map does not name, and such as show tokens themselves.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { bytes } from '../reads/clients.ts';
import { newestEtcd } from '../support/etcd.ts';
import { newestEtcds, outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { WatchCall } from '../support/watch-client.ts';
import type { Pair } from '../tls/pki.ts';
import { DENIED, get, NOBODY, PASSWORD, pairs, put, READER, setUp, WRITER } from './certified.ts';

const TIMEOUT = { timeout: 120_000 };

describe('a client with a certificate', async () => {
  for (const install of await newestEtcds())
    test(`etcd ${install.version}: may what its user may, through every door`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const { auth, proxy, doors, rootToken, signIns, raw } = await setUp(held, install, 'simple');
      const kvs = (pair: Pair) =>
        Object.entries(doors(pair)).map(([door, via]) => [door, createClient(KV, via)] as const);
      for (const [door, kv] of kvs(pairs.reader)) assert.equal(await put(kv, '/b/x'), 'ok', door);
      assert.equal(await signIns(), 0, 'auth is off');
      await auth.authEnable({});
      for (const [door, kv] of kvs(pairs.reader)) {
        assert.deepEqual([await get(kv, '/a/x'), await get(kv, '/b/x')], ['ok', DENIED], door);
        assert.equal(await put(kv, '/a/x'), DENIED, door);
        const root = await rootToken();
        assert.equal(await get(kv, '/b/x', root), 'ok', `${door}: a token of its own`);
        const rest = { authorization: root.token };
        assert.equal(await get(kv, '/b/x', rest), 'ok', `${door}: the other name of a token`);
        assert.match(await get(kv, '/a/x', { token: 'worthless.1' }), /invalid auth token/, door);
      }
      for (const who of ['writer', 'night'] as const)
        for (const [door, kv] of kvs(pairs[who]))
          assert.deepEqual([await put(kv, '/b/x'), await get(kv, '/a/x')], ['ok', DENIED], door);
      assert.equal(await signIns(), 2, 'one for each user');
      for (const who of ['stranger', 'several', 'posing'] as const)
        for (const [door, kv] of kvs(pairs[who]))
          assert.equal(await get(kv, '/a/x'), NOBODY, `${who}: ${door}`);
      for (const [door, kv] of kvs(pairs.misled)) assert.equal(await get(kv, '/a/x'), NOBODY, door);
      assert.ok((await signIns('failed')) >= 1);
      assert.equal(await signIns(), 2);
      // Streams: watches, and heartbeats.
      const watch = new WatchCall(raw(pairs.reader));
      await watch.created({ key: bytes('/a/x') });
      watch.create({ key: bytes('/b/x') });
      assert.match((await watch.must()).cancelReason, /permission denied/);
      watch.close();
      const lease = createClient(Lease, doors(pairs.writer).gRPC);
      const { ID } = await lease.leaseGrant({ TTL: 60n });
      async function* heartbeat() {
        yield { ID };
      }
      for await (const { TTL } of lease.leaseKeepAlive(heartbeat())) assert.equal(TTL, 60n);
      assert.ok(!proxy.process.stderr.includes(PASSWORD));
      assert.match(proxy.process.stderr, /a user of clients with certificates cannot sign in/);
    });

  const newest = await newestEtcd();
  const simple = (await outerEtcds()).map((install) => ({ install, kind: 'simple' as const }));
  for (const { install, kind } of [...simple, { install: newest, kind: 'jwt' as const }])
    test(`etcd ${install.version}: ${kind} tokens that are worth nothing are replaced`, TIMEOUT, async () => {
      await using held = new AsyncDisposableStack();
      const { auth, doors, raw, rootToken, signIns } = await setUp(held, install, kind);
      await auth.authEnable({});
      const kv = createClient(KV, doors(pairs.reader).gRPC);
      const watch = new WatchCall(raw(pairs.reader));
      await watch.created({ key: bytes('/a/x') });
      assert.equal(await get(kv, '/a/x'), 'ok');
      assert.equal(await signIns(), 1);
      // A password that is set, be it the same one, ends the user's simple tokens; any change of users ends all JWTs.
      if (kind === 'jwt') await auth.roleAdd({ name: 'more' }, { headers: await rootToken() });
      else
        await auth.userChangePassword({ name: READER, password: PASSWORD }, { headers: await rootToken() });
      await until('reads go on', async () => (await get(kv, '/a/x')) === 'ok');
      assert.equal(await signIns(), 2);
      // The watch's stream began with the token that is gone. It ends, so that its client comes back; of the refusal,
      // which would be the end of the watch, its client hears nothing.
      watch.create({ key: bytes('/a/y') });
      watch.create({ key: bytes('/a/z') });
      assert.equal(await watch.next(), undefined);
      assert.equal((await watch.end).code, 14);
      const again = new WatchCall(raw(pairs.reader));
      await again.created({ key: bytes('/a/y') });
      again.close();
      assert.equal(await signIns(), 2);
    });

  test('is somebody else when the file says so, and who signs in by itself does', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { auth, proxy, map, doors, rootToken } = await setUp(held, await newestEtcd(), 'simple');
    await auth.authEnable({});
    const via = doors(pairs.reader).gRPC;
    const kv = createClient(KV, via);
    assert.deepEqual([await get(kv, '/a/x'), await put(kv, '/b/x')], ['ok', DENIED]);
    const { token } = await createClient(Auth, via).authenticate({ name: WRITER, password: PASSWORD });
    assert.equal(await put(kv, '/b/x', { token }), 'ok');

    const another = 'another password';
    await writeFile(map, JSON.stringify({ 'web: front, end=1': { name: WRITER, password: another } }));
    await until('the file is read', async () => (await get(kv, '/a/x')) !== 'ok');
    // The password is none of this user's yet.
    assert.equal(await put(kv, '/b/x'), NOBODY);
    await auth.userChangePassword({ name: WRITER, password: another }, { headers: await rootToken() });
    await until('it is tried again', async () => (await put(kv, '/b/x')) === 'ok', 40_000);

    await writeFile(map, '{"not": "a map"}');
    await proxy.process.waitForLine(/could not reload.*|"side":"cn-map"/, 20_000);
    assert.equal(await put(kv, '/b/x'), 'ok');
    await writeFile(map, '{}');
    await until('nobody is in the file', async () => (await put(kv, '/b/x')) === NOBODY);
    for (const secret of [PASSWORD, another]) assert.ok(!proxy.process.stderr.includes(secret));
  });
});
