/** How much something looks at, counted: each step over a map, a set or an array. */

const ITERATORS: readonly Iterator<unknown>[] = [new Map().values(), new Set().values(), [].values()];

/** Counts the steps of `for` loops, copies and the like while something happens, whoever takes them. */
export async function visitsOf(act: () => void | Promise<void>): Promise<number> {
  let visits = 0;
  const restore: (() => void)[] = [];
  for (const iterator of ITERATORS) {
    const prototype = Object.getPrototypeOf(iterator) as Iterator<unknown>;
    const { next } = prototype;
    prototype.next = function counting(this: Iterator<unknown>): IteratorResult<unknown> {
      visits++;
      return Reflect.apply(next, this, []);
    };
    restore.push(() => {
      prototype.next = next;
    });
  }
  try {
    await act();
  } finally {
    for (const undo of restore) undo();
  }
  return visits;
}
