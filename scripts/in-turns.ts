/** Jobs that share a machine: each has a weight, and those under way are together no heavier than it bears. */

/**
 * Does a job for every item, in their order; a heavy one waits until there is room, and lets none before it.
 * @throws what the first job that failed has thrown, when those under way are over
 */
export async function inTurns<T>(
  items: readonly T[],
  width: number,
  weightOf: (item: T) => number,
  job: (item: T) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const errors: unknown[] = [];
  let load = 0;
  for (const item of items) {
    const weight = Math.min(width, weightOf(item));
    while (load + weight > width) await Promise.race(underWay);
    if (errors.length > 0) break;
    load += weight;
    const doing = job(item)
      .catch((error: unknown) => void errors.push(error))
      .finally(() => {
        load -= weight;
        underWay.delete(doing);
      });
    underWay.add(doing);
  }
  await Promise.all(underWay);
  if (errors.length > 0) throw errors[0];
}
