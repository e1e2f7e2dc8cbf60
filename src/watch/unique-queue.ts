/**
 * A line in which everybody stands once: the first one goes first, and any may leave. A set would do, but each look at its
 * first element passes over the places of all that have gone before it, which is quadratic for a long line.
 */

/** Below this there is nothing to gain from closing gaps. */
const FEW = 64;

export class UniqueQueue<T> {
  readonly #places = new Map<T, number>();
  #line: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#places.size;
  }

  /** Stands at the end, unless it is in the line. @returns whether it was not */
  add(item: T): boolean {
    if (this.#places.has(item)) return false;
    if (this.#line.length > FEW && this.#line.length > 2 * this.#places.size) this.#close();
    this.#places.set(item, this.#line.length);
    this.#line.push(item);
    return true;
  }

  /** Leaves. @returns whether it was in the line */
  delete(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    this.#line[place] = undefined;
    return true;
  }

  /** The one that has stood for longest; it stays. */
  get first(): T | undefined {
    if (this.#places.size === 0) return undefined;
    while (this.#line[this.#head] === undefined) this.#head++;
    return this.#line[this.#head];
  }

  /** The one that has stood for longest, which leaves. */
  take(): T | undefined {
    const { first } = this;
    if (first !== undefined) this.delete(first);
    return first;
  }

  /** Closes the gaps. */
  #close(): void {
    this.#line = this.#line.filter((item) => item !== undefined);
    this.#head = 0;
    for (const [place, item] of this.#line.entries()) this.#places.set(item as T, place);
  }
}
