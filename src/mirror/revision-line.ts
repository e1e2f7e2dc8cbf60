/**
 * Items that wait for revisions, the least revision first. What it takes to add one, to take one out and to find those
 * that have waited long enough does not grow with how many others wait.
 */
interface Group<T> {
  readonly revision: number;
  readonly items: Set<T>;
}

export class RevisionLine<T> {
  /** By revision, ascending. There are few: each is an answer of etcd that somebody has waited for. */
  readonly #groups: Group<T>[] = [];
  readonly #groupOf = new Map<T, Group<T>>();

  /** The latest revision that an item waits for; 0 when none does. */
  get latest(): number {
    return this.#groups.at(-1)?.revision ?? 0;
  }

  /** Adds an item that is not there. */
  add(item: T, revision: number): void {
    const place = this.#placeOf(revision);
    let group = this.#groups[place];
    if (group?.revision !== revision) {
      group = { revision, items: new Set() };
      this.#groups.splice(place, 0, group);
    }
    group.items.add(item);
    this.#groupOf.set(item, group);
  }

  /** Nothing happens when it is not there. */
  delete(item: T): void {
    const group = this.#groupOf.get(item);
    if (group === undefined) return;
    this.#groupOf.delete(item);
    group.items.delete(item);
    if (group.items.size === 0) this.#groups.splice(this.#placeOf(group.revision), 1);
  }

  /** Takes out those that wait for a revision or an earlier one. */
  take(revision: number): readonly T[] {
    if ((this.#groups[0]?.revision ?? Number.POSITIVE_INFINITY) > revision) return [];
    const taken: T[] = [];
    for (const { items } of this.#groups.splice(0, this.#placeOf(revision + 1)))
      for (const item of items) {
        this.#groupOf.delete(item);
        taken.push(item);
      }
    return taken;
  }

  /** The place of the first group that is not below a revision. */
  #placeOf(revision: number): number {
    const groups = this.#groups;
    let low = 0;
    let high = groups.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((groups[middle] as Group<T>).revision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
