/** Ranges of keys as etcd has them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyRange, prefixRange } from '../../src/etcd/key-range.ts';

const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\xff'), maxLength: 3 });

test('ranges contain keys as etcd has it', () => {
  const everything = new KeyRange('', '\0');
  fc.assert(
    fc.property(key, key, key, (start, end, probe) => {
      const range = new KeyRange(start, end);
      const from = start === '' ? '\0' : start;
      const inside = end === '' ? probe === from : probe >= from && (end === '\0' || probe < end);
      assert.equal(range.contains(probe), inside && !range.empty);
      if (probe !== '') assert.ok(everything.contains(probe));
    }),
  );
});

test('a prefix ends before the first key that does not begin with it', () => {
  assert.deepEqual([prefixRange('/a/').start, prefixRange('/a/').end], ['/a/', '/a0']);
  assert.deepEqual([prefixRange('a\xff').rangeEnd, prefixRange('a\xff\xff').rangeEnd], ['b', 'b']);
  fc.assert(
    fc.property(key, key, (prefix, probe) => {
      if (probe !== '') assert.equal(prefixRange(prefix).contains(probe), probe.startsWith(prefix));
    }),
  );
});
