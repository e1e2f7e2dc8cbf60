/** The proxy's own user: when it gets a token, when another one, and when it leaves etcd alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Login } from '../../src/clients/login.ts';
import { OWN_METADATA } from '../../src/etcd/own-metadata.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

const UNKNOWN = new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');
const NOBODY = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');
const DENIED = new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
const AUTH_OFF = new RpcError(Code.FAILED_PRECONDITION, 'etcdserver: authentication is not enabled');
const WRONG = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: authentication failed');

/** An etcd that takes the token given out last. */
function etcd() {
  const state = { token: '', given: 0, failure: undefined as RpcError | undefined };
  const login = new Login(async () => {
    state.given++;
    if (state.failure !== undefined) throw state.failure;
    state.token = `t${state.given}`;
    return new Metadata(['token', state.token]);
  });
  const call = async (metadata: Metadata): Promise<string> => {
    const token = metadata.get('token');
    if (token === undefined) throw NOBODY;
    if (token !== state.token) throw UNKNOWN;
    return token;
  };
  return { state, login, call };
}

describe('the login', () => {
  test('without a user, what etcd says is what there is', async () => {
    const login = new Login(undefined);
    assert.equal(login.hasUser, false);
    await assert.rejects(
      login.run(() => Promise.reject(NOBODY)),
      NOBODY,
    );
  });

  test('nobody asks for a token before one is wanted', async () => {
    const { state, login } = etcd();
    assert.equal(await login.run(async (metadata) => metadata), OWN_METADATA);
    assert.equal(state.given, 0);
  });

  test('one token for all who want one at a time, and another when it is not taken any more', async () => {
    const { state, login, call } = etcd();
    assert.deepEqual(await Promise.all([login.run(call), login.run(call)]), ['t1', 't1']);
    state.token = 'restarted';
    assert.deepEqual(await Promise.all([login.run(call), login.run(call)]), ['t2', 't2']);
    assert.equal(state.given, 2);
  });

  test('a permission that is missing is not a matter of tokens', async () => {
    const { state, login, call } = etcd();
    await login.run(call);
    await assert.rejects(
      login.run(() => Promise.reject(DENIED)),
      DENIED,
    );
    assert.equal(state.given, 1);
  });

  test('a refused password is not tried again at once', async () => {
    const { state, login, call } = etcd();
    state.failure = WRONG;
    await assert.rejects(login.run(call), WRONG);
    await assert.rejects(login.run(call), WRONG);
    assert.equal(state.given, 1);
  });

  test('auth is switched off: nobody again', async () => {
    const { state, login, call } = etcd();
    await login.run(call);
    state.token = 'none';
    state.failure = AUTH_OFF;
    await assert.rejects(login.run(call), NOBODY);
    assert.equal(login.metadata, OWN_METADATA);
    state.failure = undefined;
    assert.equal(await login.run(call), 't3');
  });
});
