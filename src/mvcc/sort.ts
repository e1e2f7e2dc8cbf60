/** Sorts in steps: a merge sort from the bottom up. Equal elements keep their order. */
import type { Interruptible, Work } from './work.ts';

/** What is sorted, and by what. */
export interface Keyed<T> {
  readonly item: T;
  readonly by: number | string;
}

/** @param sign -1 for descending order; equal elements keep their order all the same */
export function* sorted<T>(
  items: readonly Keyed<T>[],
  sign: number,
  work: Work,
): Interruptible<readonly Keyed<T>[]> {
  let from = items;
  for (let width = 1; width < items.length; width *= 2) {
    const into: Keyed<T>[] = [];
    for (let start = 0; start < items.length; start += 2 * width) {
      const middle = Math.min(start + width, items.length);
      const end = Math.min(middle + width, items.length);
      let left = start;
      let right = middle;
      while (left < middle || right < end) {
        const takeRight = left === middle || (right < end && isBelow(from[right], from[left], sign, work));
        into.push(from[takeRight ? right++ : left++] as Keyed<T>);
        if (work.due) yield;
        if (work.spent) return into;
      }
    }
    from = into;
  }
  return from;
}

/** Whether the first one goes before the second. */
function isBelow<T>(
  a: Keyed<T> | undefined,
  b: Keyed<T> | undefined,
  sign: number,
  work: Work,
): boolean | undefined {
  if (a === undefined || b === undefined) return undefined;
  // Long values may be alike for as long as the shorter one is.
  if (typeof a.by === 'string') work.copy(Math.min(a.by.length, (b.by as string).length));
  else work.visits++;
  return sign < 0 ? a.by > b.by : a.by < b.by;
}
