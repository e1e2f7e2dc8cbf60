/** The tree that finds the watched ranges a key lies in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { IntervalTree } from '../../src/watch/interval-tree.ts';

const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\xff'), maxLength: 3 });

const wishes = fc.array(fc.tuple(key, key, fc.boolean()));

/** A tree of some ranges, of which others have been removed, and what it has to have. */
function grown(wanted: readonly (readonly [string, string, boolean])[]) {
  const tree = new IntervalTree<string>();
  const kept = new Map<string, KeyRange>();
  for (const [start, end, keep] of wanted) {
    const range = new KeyRange(start, end);
    if (range.empty || kept.has(range.id)) continue;
    tree.add(range, range.id);
    if (keep) kept.set(range.id, range);
    else tree.remove(range);
  }
  return { tree, kept };
}

test('the tree finds exactly the ranges that contain a key', () => {
  fc.assert(
    fc.property(wishes, key, (wanted, probe) => {
      const { tree, kept } = grown(wanted);
      const found: string[] = [];
      tree.visit(probe, (id) => found.push(id));
      const expected = [...kept.values()].filter((range) => range.contains(probe)).map(({ id }) => id);
      assert.deepEqual(found.sort(), expected.sort());
    }),
  );
});

test('the tree finds exactly the ranges that contain another one, as many as are wanted', () => {
  fc.assert(
    fc.property(wishes, key, key, fc.nat(3), (wanted, start, end, most) => {
      const { tree, kept } = grown(wanted);
      const range = new KeyRange(start, end);
      if (range.empty) return;
      const expected = [...kept.values()].filter((other) => other.covers(range)).map(({ id }) => id);
      const found: string[] = [];
      tree.covering(range, (id) => found.push(id) > 0);
      assert.deepEqual(found.sort(), expected.sort());
      const few: string[] = [];
      tree.covering(range, (id) => few.push(id) < most);
      assert.equal(few.length, Math.min(Math.max(most, 1), expected.length));
    }),
  );
});
