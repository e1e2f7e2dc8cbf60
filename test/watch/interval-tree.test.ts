/** The tree that finds the watched ranges a key lies in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { IntervalTree } from '../../src/watch/interval-tree.ts';

const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\xff'), maxLength: 3 });

test('the tree finds exactly the ranges that contain a key', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, key, fc.boolean())), key, (wanted, probe) => {
      const tree = new IntervalTree<string>();
      const kept = new Map<string, KeyRange>();
      for (const [start, end, keep] of wanted) {
        const range = new KeyRange(start, end);
        if (range.empty || kept.has(range.id)) continue;
        tree.add(range, range.id);
        if (keep) kept.set(range.id, range);
        else tree.remove(range);
      }
      const found: string[] = [];
      tree.visit(probe, (id) => found.push(id));
      const expected = [...kept.values()].filter((range) => range.contains(probe)).map(({ id }) => id);
      assert.deepEqual(found.sort(), expected.sort());
    }),
  );
});
