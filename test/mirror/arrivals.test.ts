/** Very many reads that wait for the same mirror. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arrivals } from '../../src/mirror/arrivals.ts';
import type { SubscribedFeed } from '../../src/watch/subscribers.ts';
import { visitsOf } from '../support/visits.ts';

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

test('a mirror that moves is no work for those who wait for something later', async () => {
  const progress = { isUseless: false, reach: () => {} };
  const arrivals = new Arrivals(() => ({ progress }) as unknown as SubscribedFeed);
  const arrived: number[] = [];
  const READS = 2000;
  const arrivalOf = (revision: number) => ({
    onArrived: () => void arrived.push(revision),
    onFailed: () => assert.fail(),
  });
  const gone = Array.from({ length: READS }, (_, i) => ({ revision: i, arrival: arrivalOf(-1) }));
  const visits = await visitsOf(() => {
    for (const { revision, arrival } of gone) arrivals.wait(READS + revision, arrival);
    for (let i = 0; i < READS; i++) arrivals.wait(2 * READS + ((i * 7) % READS), arrivalOf(i));
    for (const { arrival } of gone) arrivals.leave(arrival);
    for (let revision = 1; revision <= 2 * READS - 1; revision++) arrivals.onMoved(revision);
    assert.deepEqual(arrived, []);
    for (let revision = 2 * READS; revision < 3 * READS; revision++) arrivals.onMoved(revision);
  });
  assert.equal(arrived.length, READS);
  assert.deepEqual(
    arrived.map((i) => (i * 7) % READS),
    Array.from({ length: READS }, (_, revision) => revision),
  );
  assert.ok(visits < 20 * READS, `${visits} visits`);
  arrivals.giveUp('loading');
});
