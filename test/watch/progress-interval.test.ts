/** The clock of progress notifications, learned from etcd's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressInterval } from '../../src/watch/progress-interval.ts';

/** An interval that has seen these gaps, in milliseconds, and how long watchers wait by it. */
function after(...gaps: number[]): number {
  const interval = new ProgressInterval(() => {});
  for (const gap of gaps) interval.onGap(gap);
  return Math.round(interval.ms / 1.15);
}

test('is the default of etcd until there is enough to go by', () => {
  assert.equal(after(), 600_000);
  assert.equal(after(200, 210), 600_000);
  assert.equal(after(200, 210, 200), 200);
});

test('is not misled by a notification that was late', () => {
  assert.equal(after(200, 210, 3000, 70, 200), 210);
  assert.equal(after(3000, 70, 210, 205, 200), 210);
  assert.equal(after(200, 200, 200, 70, 3000, 130, 200, 200), 200);
});

test('becomes longer again', () => {
  assert.equal(after(200, 200, 200, 1000, 1000, 1000), 1000);
});

test('is never shorter than etcd allows', () => {
  assert.equal(after(1, 1, 1, 1, 1), 100);
});
