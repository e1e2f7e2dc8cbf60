/** Who signs in for clients with certificates: each user once, however many common names stand for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { User } from '../../src/clients/authenticate.ts';
import { type ClientUser, MappedClients } from '../../src/clients/mapped-clients.ts';
import { KV } from '../../src/etcd/methods.ts';
import { ITSELF } from '../../src/rpc/client.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

const READER = { name: 'reader', password: 'a password' };

/** An etcd that wants tokens, and takes each that it has handed out. */
function setUp() {
  const signedIn: string[] = [];
  const clients = new MappedClients({
    signIn: async ({ name }) => {
      signedIn.push(name);
      return new Metadata(['token', `${name}.${signedIn.length}`]);
    },
    read: async (metadata) => {
      if (metadata.get('token') === undefined)
        throw new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');
      return new Uint8Array();
    },
    observer: { onSignedIn: () => {}, onFailed: () => {} },
  });
  const of = (commonName: string): ClientUser => {
    const client = { ...ITSELF, commonName };
    const user = clients.of(new OwnCall(KV.Range, NO_METADATA, Infinity, client));
    assert.ok(user, commonName);
    return user;
  };
  return { clients, signedIn, of };
}

const names = Array.from({ length: 500 }, (_, i) => `client ${i}`);
const all = (user: User) => new Map(names.map((name) => [name, { ...user }]));

test('a user signs in once for all common names', async () => {
  const { clients, signedIn, of } = setUp();
  clients.use(all(READER));
  await Promise.all(names.map((name) => of(name).confirm()));
  assert.deepEqual(signedIn, ['reader']);
  assert.equal(new Set(names.map((name) => of(name).sign(NO_METADATA))).size, 1);
});

test('a user keeps its token as long as any name stands for it', async () => {
  const { clients, signedIn, of } = setUp();
  clients.use(all(READER));
  await of('client 0').confirm();
  clients.use(new Map([['somebody new', READER]]));
  await of('somebody new').confirm();
  assert.deepEqual(signedIn, ['reader'], 'it is the same user');
  clients.use(new Map([['somebody new', { ...READER, password: 'another' }]]));
  await of('somebody new').confirm();
  assert.deepEqual(signedIn, ['reader', 'reader'], 'the password is another one');
});

test('what was asked before a refusal says nothing about it, and one question answers for many', async () => {
  const asked: PromiseWithResolvers<Uint8Array>[] = [];
  const clients = new MappedClients({
    signIn: async () => new Metadata(['token', 'x']),
    read: () => {
      const question = Promise.withResolvers<Uint8Array>();
      asked.push(question);
      return question.promise;
    },
    observer: { onSignedIn: () => {}, onFailed: () => {} },
  });
  clients.use(all(READER));
  const user = clients.of(
    new OwnCall(KV.Range, NO_METADATA, Infinity, { ...ITSELF, commonName: 'client 0' }),
  );
  assert.ok(user);
  const earlier = user.confirm();
  let answers = 0;
  const later = Array.from({ length: 3 }, () => user.confirmAnew().finally(() => answers++));
  asked[0]?.resolve(new Uint8Array());
  assert.equal(await earlier, true);
  await setImmediate();
  assert.deepEqual([asked.length, answers], [2, 0]);
  asked[1]?.reject(new RpcError(Code.UNAVAILABLE, 'etcd is away'));
  assert.deepEqual(await Promise.all(later), [false, false, false]);
  const denied = user.confirmAnew();
  await setImmediate();
  asked[2]?.reject(new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied'));
  assert.equal(await denied, true, 'etcd knows who asks');
});

test('names of users and passwords are not taken for each other', async () => {
  const { clients, of } = setUp();
  clients.use(
    new Map([
      ['a', { name: 'x:y', password: 'z' }],
      ['b', { name: 'x', password: 'y:z' }],
      ['c', { name: 'x', password: '' }],
      ['d', { name: 'x","', password: '' }],
    ]),
  );
  assert.equal(new Set(['a', 'b', 'c', 'd'].map((name) => of(name))).size, 4);
});
