/** Very many reads that wait for the same mirror. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arrivals } from '../../src/mirror/arrivals.ts';
import type { SubscribedFeed } from '../../src/watch/subscribers.ts';

test('the feed that comes next is asked for the highest revision that one of 200 000 waits for', () => {
  const asked: number[] = [];
  const progress = { isUseless: false, reach: (revision: number) => void asked.push(revision) };
  const arrivals = new Arrivals(() => ({ progress }) as unknown as SubscribedFeed);
  let arrived = 0;
  const arrival = () => ({ onArrived: () => void arrived++, onFailed: () => assert.fail() });
  for (let i = 0; i < 200_000; i++) arrivals.wait(i === 100_000 ? 9 : 5, arrival());
  arrivals.onOtherFeed();
  assert.deepEqual(asked, [5, 9, 9]);
  arrivals.onMoved(8);
  assert.equal(arrived, 199_999);
});
