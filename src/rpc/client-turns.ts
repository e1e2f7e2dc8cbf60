/**
 * A line in which clients have their turns one after the other: whoever puts very much into it lets others wait no longer
 * than who puts one thing into it. What a client has in it comes in the order in which it was put there.
 */
export class ClientTurns<T> {
  /** By client; the one whose turn is next comes first. None is empty. */
  readonly #waiting = new Map<object, Set<T>>();

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** To the end of what the client has in it. @param client such as its connection */
  add(client: object, item: T): void {
    const items = this.#waiting.get(client);
    if (items === undefined) this.#waiting.set(client, new Set([item]));
    else items.add(item);
  }

  /** @returns whether it was there */
  delete(client: object, item: T): boolean {
    const items = this.#waiting.get(client);
    if (items?.delete(item) !== true) return false;
    if (items.size === 0) this.#waiting.delete(client);
    return true;
  }

  /** Takes the first one of the client whose turn it is. */
  shift(): T | undefined {
    const [next] = this.#waiting;
    if (next === undefined) return undefined;
    const [client, items] = next;
    const [item] = items as ReadonlySet<T>;
    this.#waiting.delete(client);
    items.delete(item as T);
    if (items.size > 0) this.#waiting.set(client, items);
    return item;
  }

  /** All that waits, client by client. */
  *[Symbol.iterator](): Generator<T> {
    for (const items of this.#waiting.values()) yield* items;
  }
}
