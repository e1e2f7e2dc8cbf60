/** Which calls end permissions, and when: before etcd is asked, and again when it has answered, whatever it said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Auth as METHODS } from '../../src/etcd/methods.ts';
import type { Upstream } from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { authService } from '../../src/services/auth.ts';

test('changes of users, roles and auth itself are told twice, and nothing else is', async () => {
  const log: string[] = [];
  let fails = false;
  const upstream: Upstream = {
    async unary() {
      log.push('asked');
      await Promise.resolve();
      log.push('answered');
      if (fails) throw new RpcError(Code.UNAVAILABLE, 'gone');
      return new Uint8Array(0);
    },
    stream: () => assert.fail('no stream'),
  };
  const methods = authService(upstream, {
    onChanged: () => log.push('told'),
    onUserChanged: () => assert.fail('nobody'),
    onToken: () => assert.fail('no token'),
    shows: () => false,
  });
  const changes = methods.filter(({ method }) => method !== METHODS.Authenticate);
  const names = changes.map(({ method }) => method.name).sort();
  const looks = new Set(['AuthStatus', 'Authenticate', 'UserGet', 'UserList', 'RoleGet', 'RoleList']);
  assert.deepEqual(
    names,
    Auth.methods
      .map(({ name }) => name)
      .filter((name) => !looks.has(name))
      .sort(),
  );
  for (const entry of changes) {
    assert.ok('unary' in entry);
    for (fails of [false, true]) {
      log.length = 0;
      const call = new OwnCall(entry.method, NO_METADATA, Number.POSITIVE_INFINITY);
      const reply = Promise.resolve(entry.unary(new Uint8Array(0), call));
      if (fails) await assert.rejects(reply, /gone/);
      else await reply;
      assert.deepEqual(log, ['told', 'asked', 'answered', 'told']);
    }
  }
});

test('whose tokens etcd drops is told when it has done so, or may have; not when it has refused to', async () => {
  const name = new Uint8Array([0x0a, 1, 0x75]);
  const own = new Metadata(['token', 'of u']);
  for (const method of [METHODS.UserDelete, METHODS.UserChangePassword, METHODS.UserRevokeRole])
    for (const [code, list, metadata, wanted] of [
      [Code.OK, undefined, NO_METADATA, ['u']],
      [Code.PERMISSION_DENIED, undefined, NO_METADATA, []],
      [Code.INVALID_ARGUMENT, undefined, NO_METADATA, []],
      // Whether it was done is not known: by somebody who may, by somebody who may not or is not known any more, by the user itself.
      [Code.UNAVAILABLE, Code.OK, NO_METADATA, ['u']],
      [Code.CANCELLED, Code.UNAVAILABLE, NO_METADATA, ['u']],
      [Code.CANCELLED, Code.PERMISSION_DENIED, NO_METADATA, []],
      [Code.DEADLINE_EXCEEDED, Code.UNAUTHENTICATED, NO_METADATA, []],
      [Code.UNAVAILABLE, undefined, own, ['u']],
    ] as const) {
      const told: string[] = [];
      const upstream: Upstream = {
        async unary(_, call) {
          const isList = call.method === METHODS.UserList;
          assert.equal(isList && list === undefined, false, 'asked for nothing');
          assert.deepEqual(told, [], 'not before');
          assert.equal(call.metadata, metadata);
          const answer = isList ? list : code;
          if (answer !== Code.OK) throw new RpcError(answer as number, 'no');
          return new Uint8Array(0);
        },
        stream: () => assert.fail('no stream'),
      };
      const methods = authService(upstream, {
        onChanged: () => {},
        onUserChanged: (user) => told.push(user),
        onToken: () => assert.fail('no token'),
        shows: (user, shown) => user === 'u' && shown === own,
      });
      const entry = methods.find((candidate) => candidate.method === method);
      assert.ok(entry !== undefined && 'unary' in entry);
      const reply = Promise.resolve(entry.unary(name, new OwnCall(method, metadata, Infinity)));
      if (code === Code.OK) await reply;
      else await assert.rejects(reply, /no/);
      await setImmediate();
      assert.deepEqual(
        told,
        method === METHODS.UserRevokeRole ? [] : wanted,
        `${method.name} ${code} ${list}`,
      );
    }
});
