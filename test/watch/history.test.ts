/** What a feed remembers, and the budget that all of them share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readResponse } from '../../src/etcd/watch-response.ts';
import { batchesOf } from '../../src/watch/batch-draft.ts';
import { History, HistoryBudget } from '../../src/watch/history.ts';
import { response } from './responses.ts';

/** A history with so many batches, of a kilobyte or so each. */
function filled(budget: HistoryBudget, batches: number, kept = false): History {
  const history = new History(1, 1000, budget);
  history.kept = kept;
  for (let revision = 1; revision <= batches; revision++) {
    const { header, events } = readResponse(response([revision], 500));
    for (const batch of batchesOf(header, events, revision - 1)) history.push(batch);
  }
  return history;
}

test('the floor follows what is forgotten, and the budget holds', () => {
  const budget = new HistoryBudget(5000);
  const history = new History(1, 1000, budget);
  for (let revision = 1; revision <= 100; revision++) {
    const { header, events } = readResponse(response([revision]));
    for (const batch of batchesOf(header, events, revision - 1)) history.push(batch);
    budget.enforce();
    assert.ok(budget.bytes <= 5000);
    assert.equal(history.at(0)?.revision, history.floor);
    assert.equal(history.find(history.floor), 0);
    assert.equal(history.at(history.find(revision))?.revision, revision);
  }
  assert.ok(history.floor > 50);
  history.release();
  assert.equal(budget.bytes, 0);
});

test('what lies before a watcher is counted wherever the history has been cut', () => {
  const history = filled(new HistoryBudget(1e9), 300);
  for (const floor of [1, 2, 70, 150, 290, 301]) {
    history.forgetBefore(floor);
    for (const next of [1, floor, floor + 5, 300, 301]) {
      let cost = 0;
      for (let at = history.find(next); at < history.length; at++) cost += history.at(at)?.cost ?? 0;
      assert.equal(history.bytesFrom(next), cost, `from ${next}, with a floor of ${floor}`);
    }
  }
});

test('the largest history gives, and the small ones keep all they have', () => {
  const budget = new HistoryBudget(100_000);
  const small = Array.from({ length: 20 }, () => filled(budget, 1));
  const large = filled(budget, 120);
  budget.enforce();
  assert.ok(small.every((history) => history.length === 1));
  assert.ok(budget.bytes <= 90_000 && budget.bytes > 85_000, `${budget.bytes}`);
  assert.ok(large.length > 50);
});

test('those that are kept give only what is over half, and the others the rest', () => {
  const budget = new HistoryBudget(100_000);
  const kept = filled(budget, 40, true);
  const other = filled(budget, 120);
  const before = kept.bytes;
  assert.ok(before < 45_000);
  budget.enforce();
  assert.deepEqual([kept.bytes, budget.bytes <= 90_000], [before, true]);
  const more = Array.from({ length: 10 }, () => filled(budget, 40, true));
  budget.enforce();
  const all = [kept, ...more].reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(all <= 45_000 && budget.bytes <= 90_000, `${all} of ${budget.bytes}`);
  assert.ok(other.bytes > 30_000, `${other.bytes}`);
});
