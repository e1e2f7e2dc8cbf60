/** Which calls end permissions, and when: before etcd is asked, and again when it has answered, whatever it said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Auth as METHODS } from '../../src/etcd/methods.ts';
import type { Upstream } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
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
    onUserChanged: (user) => assert.equal(user, ''),
    onToken: () => assert.fail('no token'),
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
  const told: string[] = [];
  let answer: RpcError | undefined;
  const upstream: Upstream = {
    async unary() {
      assert.deepEqual(told, [], 'not before');
      if (answer !== undefined) throw answer;
      return new Uint8Array(0);
    },
    stream: () => assert.fail('no stream'),
  };
  const methods = authService(upstream, {
    onChanged: () => {},
    onUserChanged: (user) => told.push(user),
    onToken: () => assert.fail('no token'),
  });
  const name = new Uint8Array([0x0a, 1, 0x75]);
  for (const method of [METHODS.UserDelete, METHODS.UserChangePassword, METHODS.UserRevokeRole])
    for (const [code, wanted] of [
      [Code.OK, ['u']],
      [Code.UNAVAILABLE, ['u']],
      [Code.PERMISSION_DENIED, []],
      [Code.INVALID_ARGUMENT, []],
    ] as const) {
      told.length = 0;
      answer = code === Code.OK ? undefined : new RpcError(code, 'no');
      const entry = methods.find((candidate) => candidate.method === method);
      assert.ok(entry !== undefined && 'unary' in entry);
      const reply = Promise.resolve(entry.unary(name, new OwnCall(method, NO_METADATA, Infinity)));
      if (answer === undefined) await reply;
      else await assert.rejects(reply, /no/);
      assert.deepEqual(told, method === METHODS.UserRevokeRole ? [] : wanted, `${method.name} ${code}`);
    }
});
