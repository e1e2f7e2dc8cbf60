/** A heap of numbers in an array: the least one is the first. */

/** Adds a number to a heap whose least one is the first. */
export function addTo(heap: number[], number: number): void {
  let at = heap.length;
  heap.push(number);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as number;
    if (above <= number) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = number;
}

/** Removes the least number of a heap that is not empty. */
export function removeLeast(heap: number[]): void {
  const last = heap.pop() as number;
  const { length } = heap;
  if (length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && (heap[child + 1] as number) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= last) break;
    heap[at] = heap[child] as number;
    at = child;
  }
  heap[at] = last;
}
