/** Who waits for revisions. What it takes grows with those who come and go, not with those who stay. */
import { addTo, removeLeast } from './heap.ts';

export class RevisionWaiters {
  #waiting: Map<number, (() => void)[]> | undefined;
  /** The revisions that somebody waits for. */
  readonly #heap: number[] = [];

  get isEmpty(): boolean {
    return this.#heap.length === 0;
  }

  add(revision: number, done: () => void): void {
    this.#waiting ??= new Map();
    const others = this.#waiting.get(revision);
    if (others !== undefined) others.push(done);
    else {
      this.#waiting.set(revision, [done]);
      addTo(this.#heap, revision);
    }
  }

  /** Gives out those that wait for a revision or an earlier one: they wait no more. */
  take(revision: number): readonly (() => void)[] {
    const taken: (() => void)[] = [];
    for (let least = this.#heap[0]; least !== undefined && least <= revision; least = this.#heap[0]) {
      removeLeast(this.#heap);
      for (const done of this.#waiting?.get(least) ?? []) taken.push(done);
      this.#waiting?.delete(least);
    }
    return taken;
  }
}
