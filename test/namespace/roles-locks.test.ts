/**
 * What no range of KV shows: permissions of roles, locks, elections and the keys of leases within a namespace. Nothing of it
 * comes from outside, and everything it makes lies within.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { Prefix } from '../../src/namespace/prefix.ts';
import { rangeWithin } from '../../src/namespace/role-view.ts';
import { startEtcd } from '../support/etcd.ts';
import { outerEtcds } from '../support/releases.ts';
import { InProcess } from './in-process.ts';

const b = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1');

/** Every key of an etcd. */
async function keysOf(client: InProcess): Promise<string[]> {
  const { kvs } = await client.ask(KV.method.range, { key: b('\0'), rangeEnd: b('\0') });
  return kvs.map(({ key }) => text(key));
}

describe('a permission as it is shown', () => {
  /** Granted on full keys, and what a client of the namespace `t/` is shown. */
  const SHOWN: readonly (readonly [key: string, rangeEnd: string, shown: string | undefined])[] = [
    ['t/a', '', 'a '],
    ['t/a', 't/b', 'a b'],
    ['t/a', 't0', 'a \0'],
    ['t/b', 't/a', 'b a'],
    ['t/', '', undefined],
    ['t/', 't0', '\0 \0'],
    ['t/', 't/b', '\0 b'],
    ['\0', '\0', '\0 \0'],
    ['a', 't/b', '\0 b'],
    ['t/b', '\0', 'b \0'],
    ['t/b', 'z', 'b \0'],
    ['t/b', 't/', undefined],
    ['s', 't/', undefined],
    ['s', 't/\0', undefined],
    ['s', '', undefined],
    ['t0', 'z', undefined],
    ['u', '\0', undefined],
    ['z', 'a', undefined],
    ['', '', ' '],
    ['', '\0', undefined],
  ];
  for (const [key, rangeEnd, shown] of SHOWN)
    test(JSON.stringify([key, rangeEnd]), () => {
      const range = rangeWithin({ key: b(key), rangeEnd: b(rangeEnd) }, new Prefix(b('t/')));
      assert.equal(range && `${text(range.key)} ${text(range.rangeEnd)}`, shown);
    });

  test('in a namespace with nothing behind it', () => {
    const prefix = new Prefix(b('\xff'));
    const shown = (key: string, rangeEnd: string) => {
      const range = rangeWithin({ key: b(key), rangeEnd: b(rangeEnd) }, prefix);
      return range && `${text(range.key)} ${text(range.rangeEnd)}`;
    };
    assert.equal(shown('\xffa', '\0'), 'a \0');
    assert.equal(shown('\0', '\0'), '\0 \0');
    assert.equal(shown('a', '\xffb'), '\0 b');
    assert.equal(shown('a', 'b'), undefined);
  });
});

for (const install of await outerEtcds())
  describe(`within a namespace, etcd ${install.version}`, () => {
    test('roles show what they allow there, and are granted and revoked there', async () => {
      await using etcd = await startEtcd({ install });
      using direct = new InProcess(etcd.first.address);
      using within = new InProcess(etcd.first.address, b('t/'));
      const { roleAdd, roleGrantPermission, roleRevokePermission, roleGet } = Auth.method;
      await within.ask(roleAdd, { name: 'r' });
      const granted = async (client: InProcess): Promise<string[]> => {
        const { perm } = await client.ask(roleGet, { role: 'r' });
        return perm.map(({ permType, key, rangeEnd }) => `${permType} ${text(key)} ${text(rangeEnd)}`);
      };
      for (const [key, rangeEnd] of [
        ['a', ''],
        ['b', 'c'],
        ['d', '\0'],
        ['\0', '\0'],
      ] as const)
        await within.ask(roleGrantPermission, { name: 'r', perm: { key: b(key), rangeEnd: b(rangeEnd) } });
      await direct.ask(roleGrantPermission, { name: 'r', perm: { key: b('elsewhere'), permType: 2 } });
      await direct.ask(roleGrantPermission, {
        name: 'r',
        perm: { key: b('t'), rangeEnd: b('t/x'), permType: 2 },
      });
      assert.deepEqual(await granted(direct), [
        '2 elsewhere ',
        '2 t t/x',
        '0 t/\0 t0',
        '0 t/a ',
        '0 t/b t/c',
        '0 t/d t0',
      ]);
      assert.deepEqual(await granted(within), ['2 \0 x', '0 \0 \0', '0 a ', '0 b c', '0 d \0']);
      for (const [key, rangeEnd] of [
        ['d', '\0'],
        ['b', 'c'],
        ['\0', '\0'],
      ] as const)
        await within.ask(roleRevokePermission, { role: 'r', key: b(key), rangeEnd: b(rangeEnd) });
      assert.deepEqual(await granted(direct), ['2 elsewhere ', '2 t t/x', '0 t/a ']);
      const other = await within.call(roleRevokePermission, { role: 'r', key: b('\0'), rangeEnd: b('x') });
      assert.deepEqual(other, { code: 9, message: 'etcdserver: permission is not granted to the role' });
    });

    test('an empty key in a permission, which some releases take, allows nothing', async () => {
      await using etcd = await startEtcd({ install, bcryptCost: 4 });
      using direct = new InProcess(etcd.first.address);
      using within = new InProcess(etcd.first.address, b('t/'));
      const { roleAdd, roleGrantPermission, roleGet } = Auth.method;
      for (const client of [direct, within]) {
        const role = client === direct ? 'bare' : 'within';
        await client.ask(roleAdd, { name: role });
        const perm = { key: b(''), rangeEnd: b('\0'), permType: 2 };
        const outcome = await client.call(roleGrantPermission, { name: role, perm });
        // 3.5 and later: `invalid auth management`.
        if ('code' in outcome) assert.equal(outcome.message, 'etcdserver: invalid auth management');
        else assert.equal((await client.ask(roleGet, { role })).perm.length, 1);
      }
    });

    test('locks and elections have their keys there', async () => {
      await using etcd = await startEtcd({ install });
      using direct = new InProcess(etcd.first.address);
      using within = new InProcess(etcd.first.address, b('t/'));
      const { ID: lease } = await within.ask(Lease.method.leaseGrant, { TTL: 600n, ID: 0xabcn });
      await direct.ask(KV.method.put, { key: b('outside'), lease });

      for (const name of ['lock', '']) {
        const { key } = await within.ask(Lock.method.lock, { name: b(name), lease });
        assert.equal(text(key), `${name}/abc`);
        assert.deepEqual(await keysOf(direct), ['outside', `t/${name}/abc`]);
        // The key that was returned is one that the client can look at, and unlock.
        const { kvs } = await within.ask(KV.method.range, { key });
        assert.deepEqual(
          kvs.map((kv) => text(kv.key)),
          [text(key)],
        );
        const { keys } = await within.ask(Lease.method.leaseTimeToLive, { ID: lease, keys: true });
        assert.deepEqual(keys.map(text), [text(key)]);
        await within.ask(Lock.method.unlock, { key });
        assert.deepEqual(await keysOf(direct), ['outside']);
      }

      const { leader } = await within.ask(Election.method.campaign, {
        name: b('race'),
        lease,
        value: b('one'),
      });
      assert.deepEqual([text(leader?.name), text(leader?.key)], ['race', 'race/abc']);
      assert.deepEqual(await keysOf(direct), ['outside', 't/race/abc']);
      assert.ok(leader);
      await within.ask(Election.method.proclaim, { leader, value: b('two') });
      const { kv } = await within.ask(Election.method.leader, { name: b('race') });
      assert.deepEqual([text(kv?.key), text(kv?.value)], ['race/abc', 'two']);
      const elsewhere = await direct.call(Election.method.leader, { name: b('race') });
      assert.ok(
        'code' in elsewhere && /no leader/.test(elsewhere.message),
        'outside there is no such election',
      );
      await within.ask(Election.method.resign, { leader });
      assert.deepEqual(await keysOf(direct), ['outside']);
      assert.deepEqual(await within.call(Lock.method.unlock, {}), await direct.call(Lock.method.unlock, {}));
    });
  });
