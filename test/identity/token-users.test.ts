/** Whose tokens are: what is known of them, and how much. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenUsers } from '../../src/clients/token-users.ts';

const texts = (users: TokenUsers, user: string, most = 100) =>
  users.tokensOf(user, most).map(({ metadata }) => metadata.get('token'));

test('tokens are their users, the newest first', () => {
  const users = new TokenUsers();
  for (const token of ['1', '2', '3']) users.learn('a', token);
  users.learn('b', '4');
  assert.deepEqual(texts(users, 'a'), ['3', '2', '1']);
  assert.deepEqual(texts(users, 'a', 2), ['3', '2']);
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
