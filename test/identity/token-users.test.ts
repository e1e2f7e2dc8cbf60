/** Whose tokens are: what is known of them, and how much. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MOST_TOKENS, TokenUsers } from '../../src/clients/token-users.ts';
import { authenticateRequest, nameIn } from '../../src/etcd/auth-messages.ts';

const texts = (users: TokenUsers, user: string) =>
  users.tokensOf(user).map(({ metadata }) => metadata.get('token'));

test('tokens are their users, the newest first', () => {
  const users = new TokenUsers();
  for (const token of ['1', '2', '3']) users.learn('a', token);
  users.learn('b', '4');
  assert.deepEqual(texts(users, 'a'), ['3', '2', '1']);
  assert.deepEqual(texts(users, 'c'), []);
  assert.deepEqual([users.userOf('1'), users.userOf('4'), users.userOf('5')], ['a', 'b', undefined]);
});

test('a token that is handed out again is whose it was handed out to last', () => {
  const users = new TokenUsers();
  users.learn('a', '1');
  users.learn('a', '2');
  users.learn('b', '1');
  assert.deepEqual([texts(users, 'a'), texts(users, 'b')], [['2'], ['1']]);
  assert.equal(users.size, 2);
});

test('no user, and no token, is nobody', () => {
  const users = new TokenUsers();
  users.learn('', '1');
  users.learn('a', '');
  assert.deepEqual([users.size, users.userOf(''), users.userOf('1')], [0, undefined, undefined]);
});

test('they take no more than they may: the ones that were of no use for longest go', () => {
  const users = new TokenUsers(64 << 10);
  users.learn('a', 'used');
  for (let i = 0; i < 1000; i++) {
    users.learn(`u${i}`, `token ${i}`);
    assert.equal(users.userOf('used'), 'a');
    assert.ok(users.bytes <= 64 << 10);
  }
  assert.equal(users.userOf('token 0'), undefined);
  assert.deepEqual(texts(users, 'u0'), []);
  assert.equal(users.forgotten, 1001 - users.size);
  users.learn('a', 'x'.repeat(64 << 10));
  assert.equal(users.userOf('used'), 'a');
});

test('of many the newest are asked for, without a look at all of them; what etcd does not take makes room for older ones', () => {
  const users = new TokenUsers();
  const all = Array.from({ length: 3 * MOST_TOKENS }, (_, i) => `${i}`);
  for (const token of all) users.learn('a', token);
  const newest = all.toReversed();
  assert.deepEqual(texts(users, 'a'), newest.slice(0, MOST_TOKENS));
  assert.equal(users.tokensOf('a'), users.tokensOf('a'), 'nothing is made for a question');
  const found: unknown[] = [];
  while (users.size > 0)
    for (const token of texts(users, 'a')) {
      found.push(token);
      users.forget(token as string);
      assert.equal(users.userOf(token as string), undefined);
    }
  assert.deepEqual(found, newest);
  assert.deepEqual([texts(users, 'a'), users.bytes], [[], 0]);
});

test('those of a user who is another one now are nobody’s', () => {
  const users = new TokenUsers();
  for (const token of ['1', '2']) users.learn('a', token);
  users.learn('b', '3');
  users.forgetUser('a');
  users.forgetUser('unknown');
  assert.deepEqual([users.userOf('1'), texts(users, 'a'), users.size], [undefined, [], 1]);
  users.learn('a', '4');
  assert.deepEqual(texts(users, 'a'), ['4']);
  for (const user of ['a', 'b']) users.forgetUser(user);
  assert.deepEqual([users.size, users.bytes], [0, 0]);
});

test('a name that etcd does not take for one is nobody’s here either', () => {
  const request = authenticateRequest('eve', 'pw');
  assert.equal(nameIn(request), 'eve');
  // A tag of more than 32 bits: the lower ones are those of the name, and etcd passes over the field.
  const other = Buffer.concat([request, Buffer.from([0x8a, 0x80, 0x80, 0x80, 0x10, 4]), Buffer.from('root')]);
  assert.throws(() => nameIn(other));
});
