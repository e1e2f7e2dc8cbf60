/** The table that streams are in: the same as a Map, whatever identifiers a client chooses, and without what a Map keeps alive. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import fc from 'fast-check';
import { IdTable } from '../../src/http2/id-table.ts';
import { collectGarbage } from '../support/garbage.ts';

class Value {
  readonly id: number;
  readonly weight = new Array<number>(10).fill(1);

  constructor(id: number) {
    this.id = id;
  }
}

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

/** By how many bytes the old generation has grown when so many values have come and gone, a few at a time. */
function grownBy(add: (value: Value) => void, remove: (id: number) => void): number {
  const oldBytes = (): number =>
    getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;
  add(new Value(0));
  for (let i = 0; i < 3; i++) collectGarbage();
  const before = oldBytes();
  for (let id = 1; id < 200_000; id++) {
    add(new Value(id));
    if (id > 16) remove(id - 16);
  }
  return oldBytes() - before;
}

test('keeps nothing alive of what came and went, as a Map does', () => {
  const table = new IdTable<Value>();
  const map = new Map<number, Value>();
  const ofMap = grownBy(
    (value) => map.set(value.id, value),
    (id) => map.delete(id),
  );
  const ofTable = grownBy(
    (value) => table.add(value),
    (id) => table.delete(id),
  );
  assert.ok(ofTable < 4 << 20, `${ofTable} bytes; a Map: ${ofMap}`);
});
