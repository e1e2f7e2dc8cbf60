/** The map of what comes and goes by the thousand: the same as a Map, without what that keeps alive. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PassingMap } from '../../src/rpc/passing-map.ts';
import { survivors, survivorsInMap, type Value } from '../support/survivors.ts';

test('has what a Map has, after any changes', () => {
  const step = fc.record({ key: fc.integer({ min: 0, max: 30 }), sets: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 200, maxLength: 600 }), (steps) => {
      const [passing, map] = [new PassingMap<number, number>(), new Map<number, number>()];
      for (const [at, { key, sets }] of steps.entries()) {
        for (const each of [passing, map]) {
          if (sets) each.set(key, at);
          else each.delete(key);
        }
        assert.deepEqual([passing.size, passing.get(key)], [map.size, map.get(key)]);
      }
      for (let key = 0; key <= 30; key++) assert.equal(passing.get(key), map.get(key));
      passing.clear();
      assert.deepEqual([passing.size, passing.get(1)], [0, undefined]);
    }),
  );
});

test('keeps little alive of what came and went', () => {
  const map = new PassingMap<number, Value>();
  const bytes = survivors(
    (value) => map.set(value.id, value),
    (id) => map.delete(id),
  );
  assert.ok(bytes < 4 << 20, `${bytes} bytes; of a Map ${survivorsInMap()}`);
});
