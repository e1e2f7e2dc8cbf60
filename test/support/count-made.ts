/** Counts objects, for tests of what something costs. */
import type { TestContext } from 'node:test';

/** Counts how often a class is made that all of the process knows by this name, until the test is over. */
export function countMade(t: TestContext, name: 'Set' | 'Map' | 'Float64Array'): { made: number } {
  const all = globalThis as unknown as Record<string, new (...args: unknown[]) => object>;
  const counted = { made: 0 };
  const original = all[name] as new (...args: unknown[]) => object;
  all[name] = class extends original {
    constructor(...args: unknown[]) {
      super(...args);
      counted.made++;
    }
  };
  t.after(() => {
    all[name] = original;
  });
  return counted;
}
