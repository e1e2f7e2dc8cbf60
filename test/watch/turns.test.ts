/** A few of many at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Semaphore } from '../../src/watch/semaphore.ts';
import { until } from '../support/until.ts';

/** Takers that note when they are called. */
function takers(count: number): { readonly called: number[]; readonly all: { onTurn(): void }[] } {
  const called: number[] = [];
  return { called, all: Array.from({ length: count }, (_, i) => ({ onTurn: () => called.push(i) })) };
}

test('so many have a turn, the others one after the other as those before leave', () => {
  const turns = new Semaphore(2, 60_000);
  const { called, all } = takers(5);
  assert.deepEqual(
    all.map((taker) => turns.take(taker)),
    [true, true, false, false, false],
  );
  assert.equal(turns.take(all[0] as never), true);
  turns.leave(all[3] as never);
  turns.leave(all[1] as never);
  assert.deepEqual(called, [2]);
  turns.leave(all[0] as never);
  turns.leave(all[0] as never);
  assert.deepEqual(called, [2, 4]);
  for (const taker of all) turns.leave(taker);
  assert.equal(turns.take(all[3] as never), true);
  turns.leave(all[3] as never);
});

test('who leaves within the call is followed by all the others', () => {
  const turns = new Semaphore(1, 60_000);
  const called: number[] = [];
  const all = Array.from({ length: 1000 }, (_, i) => {
    const taker = {
      onTurn: (): void => {
        called.push(i);
        turns.leave(taker);
      },
    };
    return taker;
  });
  for (const taker of all) turns.take(taker);
  turns.leave(all[0] as never);
  assert.equal(called.length, 999);
});

test('a turn is over after its time', async () => {
  const turns = new Semaphore(1, 20);
  const { called, all } = takers(3);
  for (const taker of all) turns.take(taker);
  await until('two turns', () => called.length >= 2);
  assert.deepEqual(called, [1, 2]);
});
