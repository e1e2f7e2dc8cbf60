/** The proxy's own user: when it gets a token, when another one, and when it leaves etcd alone. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Login } from '../../src/clients/login.ts';
import { OWN_METADATA } from '../../src/etcd/own-metadata.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { settle } from '../reads/held-upstream.ts';

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

describe('a token that says when it ends', () => {
  const SECONDS = 100;
  const claims = () => ({ exp: Math.floor(Date.now() / 1000) + SECONDS });
  const jwt = (count: number) =>
    `${count}.${Buffer.from(JSON.stringify(claims())).toString('base64url')}.signature`;

  /** An etcd that gives out such tokens and takes each for its time. */
  function signing(lapses = false) {
    const state = { given: 0, failure: undefined as RpcError | undefined };
    const heard: string[] = [];
    const signIn = async () => {
      if (state.failure !== undefined) throw state.failure;
      return new Metadata(['token', jwt(++state.given)]);
    };
    const observer = {
      onSignedIn: () => heard.push('ok'),
      onFailed: ({ message }: RpcError) => heard.push(message),
    };
    const login = new Login(signIn, { observer, lapses });
    const call = async (metadata: Metadata) => {
      const token = metadata.get('token');
      if (token === undefined) throw NOBODY;
      return token.split('.')[0];
    };
    return { state, heard, login, call };
  }

  /** Time is what the test says. */
  function stopTime(t: TestContext) {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    t.mock.method(performance, 'now', () => Date.now());
    return async (seconds: number) => {
      t.mock.timers.tick(seconds * 1000);
      await settle();
    };
  }

  test('is replaced before that, though nobody calls', async (t) => {
    const pass = stopTime(t);
    const { state, heard, login, call } = signing();
    await login.run(call);
    for (let count = 2; count < 5; count++) {
      await pass(0.75 * SECONDS);
      assert.equal(state.given, count);
      assert.equal(await login.run(call), `${count}`);
    }
    assert.deepEqual(heard, ['ok', 'ok', 'ok', 'ok']);
    login.close();
    await pass(10 * SECONDS);
    assert.equal(state.given, 4);
  });

  test('lapses where it is nobody in particular who uses it, unless somebody does', async (t) => {
    const pass = stopTime(t);
    const { state, login, call } = signing(true);
    await login.run(call);
    await login.run(call);
    await pass(0.75 * SECONDS);
    assert.equal(state.given, 2);
    await pass(10 * SECONDS);
    assert.equal(state.given, 2);
    login.close();
  });

  test('is kept while no other can be had, and asked for again', async (t) => {
    const pass = stopTime(t);
    const { state, heard, login, call } = signing();
    await login.run(call);
    state.failure = new RpcError(Code.UNAVAILABLE, 'etcd is away');
    await pass(0.75 * SECONDS);
    assert.equal(await login.run(call), '1');
    assert.deepEqual(heard, ['ok', 'etcd is away']);
    state.failure = undefined;
    await pass(10);
    assert.equal(await login.run(call), '2');
    login.close();
  });

  test('has ended by our clock, which may be wrong: used until etcd refuses it', async (t) => {
    const pass = stopTime(t);
    t.mock.timers.setTime(1e9);
    let given = 0;
    const login = new Login(async () => {
      given++;
      return new Metadata(['token', `1.${Buffer.from('{"exp":1}').toString('base64url')}.x`]);
    });
    await login.run(async (metadata) => {
      if (metadata.get('token') === undefined) throw NOBODY;
    });
    await pass(1e6);
    assert.equal(given, 1);
  });

  test('a failure of the way to etcd is tried again soon, a refusal later', async (t) => {
    const pass = stopTime(t);
    const { state, heard, login, call } = signing();
    state.failure = new RpcError(Code.UNAVAILABLE, 'etcd is away');
    await assert.rejects(login.run(call));
    await pass(1);
    state.failure = WRONG;
    await assert.rejects(login.run(call), WRONG);
    await pass(1);
    await assert.rejects(login.run(call), WRONG);
    assert.deepEqual(heard, ['etcd is away', WRONG.message]);
    state.failure = undefined;
    await pass(10);
    assert.equal(await login.run(call), '1');
    login.close();
  });
});
