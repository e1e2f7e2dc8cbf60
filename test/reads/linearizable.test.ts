/** The checker itself: it accepts what is right and names each kind of wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Change, History, type Pair, type Write } from './history.ts';
import { violations } from './linearizable.ts';

const LOG: readonly Change[] = [
  { revision: 2, key: 'a', value: 'a1' },
  { revision: 3, key: 'a', value: 'a2' },
  { revision: 3, key: 'b', value: 'b1' },
  { revision: 4, key: 'a', value: undefined },
  { revision: 5, key: 'a', value: 'a3' },
];
const PAIRS = {
  a1: { key: 'a', value: 'a1', createRevision: 2, modRevision: 2, version: 1 },
  a2: { key: 'a', value: 'a2', createRevision: 2, modRevision: 3, version: 2 },
  b1: { key: 'b', value: 'b1', createRevision: 3, modRevision: 3, version: 1 },
  a3: { key: 'a', value: 'a3', createRevision: 5, modRevision: 5, version: 1 },
};

/** The writes of the log, one after the other: the n-th takes from 10n to 10n + 5. */
function written(): History {
  const history = new History();
  const add = (changes: [string, string | undefined][], revision: number) =>
    history.writes.push({
      by: 'writer',
      changes: new Map(changes),
      revision,
      invoked: 10 * (revision - 1),
      completed: 10 * (revision - 1) + 5,
    });
  add([['a', 'a1']], 2);
  add(
    [
      ['a', 'a2'],
      ['b', 'b1'],
    ],
    3,
  );
  add([['a', undefined]], 4);
  add([['a', 'a3']], 5);
  return history;
}

function read(history: History, invoked: number, completed: number, revision: number, pairs: Pair[]) {
  history.reads.push({ by: 'reader', keys: ['a', 'b'], invoked, completed, revision, pairs });
  return violations(history, LOG);
}

describe('accepted', () => {
  for (const [name, invoked, completed, revision, pairs] of [
    ['before everything', 1, 2, 1, []],
    ['before and after a write at the same time', 11, 14, 1, []],
    ['after a write at the same time', 11, 14, 2, [PAIRS.a1]],
    ['at any revision of a long time', 11, 44, 3, [PAIRS.a2, PAIRS.b1]],
    ['a deleted key', 37, 38, 4, [PAIRS.b1]],
    ['a key that was made again', 60, 61, 5, [PAIRS.a3, PAIRS.b1]],
  ] as const) {
    test(name, () => assert.deepEqual(read(written(), invoked, completed, revision, [...pairs]), []));
  }

  test('a write of unknown fate, be it done or not', () => {
    const history = written();
    const last = history.writes.pop() as Write;
    history.writes.push({ ...last, revision: undefined, completed: Number.POSITIVE_INFINITY });
    const never = new Map([['a', 'never']]);
    history.writes.push({
      ...last,
      changes: never,
      revision: undefined,
      completed: Number.POSITIVE_INFINITY,
    });
    assert.deepEqual(read(history, 60, 61, 5, [PAIRS.a3, PAIRS.b1]), []);
  });
});

describe('refused', () => {
  for (const [name, invoked, completed, revision, pairs, reason] of [
    ['older than a completed write', 16, 17, 1, [], /too old, 2/],
    ['from before its write began', 1, 9, 2, [PAIRS.a1], /before somebody began/],
    ['a value of another revision', 60, 61, 5, [PAIRS.a1, PAIRS.b1], /instead of/],
    ['half of a transaction', 26, 27, 3, [PAIRS.a2], /instead of/],
    ['a wrong version', 16, 17, 2, [{ ...PAIRS.a1, version: 2 }], /instead of/],
    ['a deleted key that is still there', 37, 38, 4, [PAIRS.a2, PAIRS.b1], /instead of/],
    ['a revision that does not exist', 60, 61, 6, [PAIRS.a3, PAIRS.b1], /does not exist/],
  ] as const) {
    test(name, () => assert.match(read(written(), invoked, completed, revision, [...pairs]).join(), reason));
  }

  test('a read that goes behind another read, while the write is still under way', () => {
    const history = written();
    assert.deepEqual(read(history, 11, 12, 2, [PAIRS.a1]), []);
    assert.match(read(history, 13, 14, 1, []).join(), /too old, 2/);
  });

  test('writes in another order than that of time', () => {
    const history = written();
    const [first, second] = history.writes as [Write, Write];
    history.writes.splice(0, 2, { ...first, invoked: 26, completed: 29 }, second);
    assert.match(violations(history, LOG).join(), /too early, 3|began later/);
  });

  test('an acknowledged write that never happened', () => {
    const history = written();
    const changes = new Map([['a', 'lost']]);
    history.writes.push({ by: 'writer', changes, revision: 6, invoked: 60, completed: 61 });
    assert.match(violations(history, LOG).join(), /a is not as written/);
  });
});
