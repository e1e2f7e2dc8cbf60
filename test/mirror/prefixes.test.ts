/** Prefixes that are mirrored. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { distinct } from '../../src/mirror/mirrors.ts';

describe('prefixes', () => {
  test('one that lies in another is passed over, and so is one that is given twice', () => {
    const ranges = distinct(['/a/b/', '/b/', '/a/', '/b/', '/é/']);
    assert.deepEqual(ranges.map(({ start }) => start).sort(), ['/a/', '/b/', '/Ã©/'].sort());
  });
});
