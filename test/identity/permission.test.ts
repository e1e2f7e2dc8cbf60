/** The one rule of who may read what is held in memory, with times that the test makes up. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PERMISSION_MS, Permission, Permissions } from '../../src/clients/permission.ts';

/** A time to begin at, as far from zero as a clock is. */
const T = 50_000;

function set() {
  const permissions = new Permissions();
  return { permissions, client: new Permission(permissions), other: new Permission(permissions) };
}

describe('a permission', () => {
  test('is not there before etcd has given it, and belongs to one client', () => {
    const { client, other } = set();
    assert.equal(client.has(T), false);
    client.grant(T);
    assert.equal(client.has(T), true);
    assert.equal(other.has(T), false);
  });

  test('counts from when etcd was asked, not from when it answered', () => {
    const { client } = set();
    client.grant(T);
    assert.equal(client.has(T + PERMISSION_MS - 1), true);
    assert.equal(client.has(T + PERMISSION_MS), false);
    client.grant(T + PERMISSION_MS / 2);
    client.grant(T + 1);
    assert.equal(client.has(T + 1.5 * PERMISSION_MS - 1), true, 'an older yes takes nothing away');
    assert.equal(client.has(T + 1.5 * PERMISSION_MS), false);
  });

  test('withdrawn, all end at once, and a yes to what was asked before comes too late', () => {
    const { permissions, client, other } = set();
    client.grant(T);
    other.grant(T + 1);
    permissions.withdraw(T + 2);
    for (const one of [client, other, new Permission(permissions)]) {
      assert.equal(one.has(T + 3), false);
      for (const before of [T + 1, T + 2]) {
        one.grant(before);
        assert.equal(one.has(T + 3), false, 'asked before');
      }
      one.grant(T + 3);
      assert.equal(one.has(T + 4), true, 'asked afterwards');
    }
  });

  test('a change that etcd makes between two withdrawals leaves no yes from before it', () => {
    const { permissions, client } = set();
    permissions.withdraw(T);
    client.grant(T + 1);
    assert.equal(client.has(T + 2), true, 'etcd had not changed anything yet, perhaps');
    permissions.withdraw(T + 2);
    assert.equal(client.has(T + 2), false);
  });

  test("refused, one ends, and other clients' do not", () => {
    const { client, other } = set();
    client.grant(T);
    other.grant(T);
    client.refuse(T + 10);
    assert.equal(client.has(T + 10), false);
    assert.equal(other.has(T + 10), true);
    client.grant(T + 10);
    assert.equal(client.has(T + 10), false, 'asked before etcd said no');
    client.grant(T + 11);
    assert.equal(client.has(T + 11), true);
  });

  test('counts exactly while some yes is young enough, and younger than every no and every change', () => {
    const what = fc.constantFrom<'grant' | 'refuse' | 'withdraw'>('grant', 'grant', 'refuse', 'withdraw');
    const step = fc.record({ what, after: fc.integer({ min: 1, max: 400 }), late: fc.nat({ max: 800 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { permissions, client } = set();
        const yes: number[] = [];
        let end = Number.NEGATIVE_INFINITY;
        let now = T;
        for (const { what, after, late } of steps) {
          now += after;
          if (what === 'grant') {
            client.grant(now - late);
            yes.push(now - late);
          } else {
            if (what === 'refuse') client.refuse(now);
            else permissions.withdraw(now);
            end = now;
          }
          for (const at of [now, now + PERMISSION_MS / 3, now + PERMISSION_MS]) {
            const expected = yes.some((askedAt) => askedAt > end && at - askedAt < PERMISSION_MS);
            assert.equal(client.has(at), expected);
          }
        }
      }),
    );
  });
});

describe('a permission that is in use', () => {
  test('is asked for again before it ends, by one question at a time', () => {
    const { client } = set();
    client.grant(T);
    assert.equal(client.isDue(T + 1), false);
    const due = T + PERMISSION_MS - 1;
    assert.equal(client.has(due) && client.isDue(due), true);
    client.onAsked(due);
    assert.equal(client.isDue(due), false);
    client.onAnswered(true, due + 300);
    assert.equal(client.isDue(due + 300), false);
    assert.equal(client.has(due + PERMISSION_MS - 1), true);
    assert.equal(client.has(due + PERMISSION_MS), false, 'from when it was asked');
  });

  test('without an answer it is as it was, and asked for again', () => {
    const { client } = set();
    client.grant(T);
    const due = T + PERMISSION_MS - 10;
    client.onAsked(due);
    client.onAnswered(undefined, due + 1);
    assert.equal(client.has(due + 2), true);
    assert.equal(client.isDue(due + 2), true);
    assert.equal(client.has(T + PERMISSION_MS), false);
  });

  test('etcd says no: it ends, even when it was asked before a change', () => {
    const { permissions, client } = set();
    client.grant(T);
    client.onAsked(T + 1);
    permissions.withdraw(T + 2);
    client.grant(T + 3);
    client.onAnswered(false, T + 4);
    assert.equal(client.has(T + 4), false);
  });

  test('etcd says yes to what was asked before a change: that counts for nothing', () => {
    const { permissions, client } = set();
    client.onAsked(T);
    permissions.withdraw(T + 1);
    client.onAnswered(true, T + 2);
    assert.equal(client.has(T + 2), false);
  });
});
