/** Prefixes that are mirrored. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { distinct, prefixRange } from '../../src/mirror/mirrors.ts';

describe('prefixes', () => {
  test('a prefix ends before the first key that does not begin with it', () => {
    assert.deepEqual([prefixRange('/a/').start, prefixRange('/a/').end], ['/a/', '/a0']);
    assert.deepEqual([prefixRange('a\xff').rangeEnd, prefixRange('a\xff\xff').rangeEnd], ['b', 'b']);
    assert.ok(prefixRange('\xff').contains('\xff\xff\xff'));
    assert.ok(!prefixRange('\xff').contains('\xfe\xff'));
  });

  test('one that lies in another is passed over, and so is one that is given twice', () => {
    const ranges = distinct(['/a/b/', '/b/', '/a/', '/b/', '/é/']);
    assert.deepEqual(ranges.map(({ start }) => start).sort(), ['/a/', '/b/', '/Ã©/'].sort());
  });
});
