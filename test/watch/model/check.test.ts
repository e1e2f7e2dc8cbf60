/** The search for a shorter failure, without which the model's failures would be hundreds of operations long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { check } from './check.ts';

const numbers = fc.array(fc.nat({ max: 99 }), { minLength: 5, maxLength: 60, size: 'max' });

test('a failure is repeated in a shorter form, on a world put right each time', async () => {
  let renewed = 0;
  let failed = 0;
  const run = async (drawn: readonly number[]): Promise<void> => {
    if (drawn.some((number) => number > 70)) {
      failed++;
      throw new Error('one is too large');
    }
  };
  const renew = async (): Promise<void> => {
    renewed++;
  };
  await assert.rejects(
    check({ arbitrary: numbers, run, renew, runs: 100, seed: 1, shrinkMs: 30_000 }),
    (error) => {
      assert.match(String(error), /one is too large\nafter 0 steps: \[\[\d+,/);
      assert.match(
        String(error),
        /shorter: .*one is too large\nafter \d+ steps: \[\[(?=[\d,]{10}\])(?:0,)*71(?:,0)*\]\]/s,
      );
      return true;
    },
  );
  assert.equal(renewed, failed);
});

test('a failure that does not come back is reported as it was', async () => {
  let runs = 0;
  const run = async (): Promise<void> => {
    if (++runs === 3) throw new Error('once');
  };
  await assert.rejects(
    check({ arbitrary: numbers, run, renew: async () => {}, runs: 10, seed: 1, shrinkMs: 30_000 }),
    /once\nafter 0 steps: .*\nit did not fail when it was repeated/s,
  );
});

test('what holds passes, and is run as often as was asked', async () => {
  let runs = 0;
  const run = async (): Promise<void> => {
    runs++;
  };
  await check({ arbitrary: numbers, run, renew: async () => {}, runs: 7, seed: 1, shrinkMs: 0 });
  assert.equal(runs, 7);
});
