/** What may be set. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeSettings } from '../../src/http2/settings.ts';

test('settings take the extremes that the RFC allows, and nothing beyond', () => {
  for (const [name, least, most] of [
    ['initialWindowSize', 0, 0x7fffffff],
    ['connectionWindowSize', 65_535, 0x7fffffff],
    ['maxFrameSize', 16_384, 0xffffff],
    ['headerTableSize', 0, 0xffffffff],
    ['maxHeaderListSize', 1, 0xffffffff],
  ] as const) {
    for (const value of [least, most]) {
      assert.equal(completeSettings('client', { [name]: value })[name], value);
    }
    for (const value of [least - 1, most + 1])
      assert.throws(() => completeSettings('client', { [name]: value }), RangeError);
  }
});
