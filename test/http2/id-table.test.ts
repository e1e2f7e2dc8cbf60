/** The table that streams are in: the same as a Map, whatever identifiers a client chooses, and without what a Map keeps alive. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IdTable } from '../../src/http2/id-table.ts';
import { survivors, survivorsInMap, Value } from '../support/survivors.ts';

test('has what a Map has, after any additions and removals', () => {
  const step = fc.record({ id: fc.integer({ min: 0, max: 60 }), adds: fc.boolean() });
  const stride = fc.constantFrom(1, 2, 64, 1 << 20);
  fc.assert(
    fc.property(stride, fc.array(step, { maxLength: 400 }), (by, steps) => {
      const [table, map] = [new IdTable<Value>(), new Map<number, Value>()];
      for (const { id: number, adds } of steps) {
        const id = number * by;
        if (!adds || map.has(id)) {
          table.delete(id);
          map.delete(id);
        } else {
          const value = new Value(id);
          table.add(value);
          map.set(id, value);
        }
        assert.equal(table.size, map.size);
      }
      for (let number = 0; number <= 60; number++) assert.equal(table.get(number * by), map.get(number * by));
      const all = [...map.values()].sort((one, other) => one.id - other.id);
      assert.deepEqual([...table.values()], all);
      assert.deepEqual(new Set(table.each()), new Set(all));
    }),
  );
});

test('passes over what is removed while it is looked through', () => {
  const table = new IdTable<Value>();
  for (const id of [5, 1, 3]) table.add(new Value(id));
  const seen: number[] = [];
  for (const { id } of table.values()) {
    seen.push(id);
    table.delete(3);
  }
  assert.deepEqual(seen, [1, 5]);
});

test('keeps nothing alive of what came and went, as a Map does', () => {
  const table = new IdTable<Value>();
  const bytes = survivors(
    (value) => table.add(value),
    (id) => table.delete(id),
  );
  assert.ok(bytes < 4 << 20, `${bytes} bytes; of a Map ${survivorsInMap()}`);
});
