/** The mutations of `npm run mutate` can be made: the code that each breaks is there, once. Running them takes hours. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { PARTS } from '../scripts/mutations/index.ts';

for (const [part, { mutations, tests }] of Object.entries(PARTS))
  describe(`mutations of ${part}`, () => {
    for (const { name, file, from, to } of mutations)
      test(name, () => {
        const text = readFileSync(`src/${file}`, 'utf8');
        assert.equal(text.split(from).length - 1, 1, `${file} has this not once: ${from}`);
        assert.notEqual(from, to);
      });

    test('have names of their own, and tests', () => {
      assert.equal(new Set(mutations.map(({ name }) => name)).size, mutations.length);
      for (const name of tests) assert.ok(existsSync(`test/${name}.test.ts`), name);
    });
  });
