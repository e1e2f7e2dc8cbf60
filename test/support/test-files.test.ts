/** How `npm test` runs the files: its lists name files that there are, and what is heavy leaves no room for others. */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { inTurns } from '../../scripts/in-turns.ts';
import { longFiles, order, quickFiles, strangers, WIDTH, weightOf } from '../../scripts/test-files.ts';

const files = globSync('test/**/*.test.ts').sort();

describe('the lists of test files', () => {
  test('name files that there are', () => assert.deepEqual(strangers(files), []));

  test('leave none out, and keep those for the end that have the machine for themselves', () => {
    const ordered = order(files);
    assert.deepEqual(ordered.toSorted(), files);
    assert.equal(weightOf(ordered.at(-1) as string), WIDTH);
    assert.ok(weightOf(ordered[0] as string) < WIDTH / 3);
  });

  test('have quick ones, which start no cluster', () => {
    const quick = quickFiles(files);
    assert.ok(quick.length > 50 && quick.length < files.length, `${quick.length}`);
    assert.ok(quick.includes('test/rules.test.ts'));
    assert.ok(!quick.includes('test/failover/failover.test.ts'));
  });
});

test('what has a short form runs in full in npm run test:long', () => {
  const long = longFiles(files);
  for (const name of [
    'long/attacks',
    'failing/hangs',
    'differential/calls',
    'watch/model',
    'clients/etcdctl',
  ])
    assert.ok(long.includes(`test/${name}.test.ts`), name);
});

describe('jobs in turns', () => {
  test('begin in their order, are together no heavier than allowed, and all are done', async () => {
    const weights = [1, 1, 2, 4, 9, 1, 3, 1];
    let load = 0;
    let most = 0;
    const begun: number[] = [];
    const items = weights.map((weight, at) => ({ weight: Math.min(4, weight), at }));
    await inTurns(
      items,
      4,
      ({ at }) => weights[at] as number,
      async ({ weight, at }) => {
        begun.push(at);
        load += weight;
        most = Math.max(most, load);
        for (let i = 0; i < 3; i++) await turn();
        load -= weight;
      },
    );
    assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual([most, load], [4, 0]);
  });

  test('fail together when one fails', async () => {
    const job = (item: number) => (item === 2 ? Promise.reject(new Error('two')) : Promise.resolve());
    await assert.rejects(
      inTurns([1, 2, 3], 2, () => 1, job),
      /two/,
    );
  });
});
