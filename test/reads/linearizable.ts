/**
 * Checks that a history is linearizable, over the whole store at once and not only key by key. In general that is
 * a search; here it is one pass, because etcd itself names the order: every write has a revision of its own and
 * every read says at which revision it read. It remains to be checked that this order explains everything:
 *
 * - a read returns exactly what the store held at its revision, in every field;
 * - what was completed before an operation began comes before it in that order;
 * - what comes before an operation in that order had begun when the operation completed.
 *
 * The order of the writes comes from the store's own log (a watch), so a write whose client was never told is
 * judged by whether it happened.
 */
import type { Change, History, Pair, Read, Write } from './history.ts';

/** The revision of a store in which nothing has ever happened. */
const EMPTY = 1;

/** The store's past, from its log. */
class Store {
  readonly #versions = new Map<string, { revision: number; pair: Pair | undefined }[]>();
  readonly #changes = new Map<number, Map<string, string | undefined>>();
  readonly #revisionOfValue = new Map<string, number>();

  constructor(log: readonly Change[]) {
    for (const change of log) this.#apply(change);
  }

  #apply({ revision, key, value }: Change): void {
    const at = this.#changes.get(revision) ?? new Map<string, string | undefined>();
    this.#changes.set(revision, at.set(key, value));
    const versions = this.#versions.get(key) ?? [];
    this.#versions.set(key, versions);
    const before = versions.at(-1)?.pair;
    const createRevision = before?.createRevision ?? revision;
    const version = (before?.version ?? 0) + 1;
    const pair =
      value === undefined ? undefined : { key, value, createRevision, modRevision: revision, version };
    versions.push({ revision, pair });
    if (value !== undefined) this.#revisionOfValue.set(value, revision);
  }

  /** Whether something happened at a revision. */
  has(revision: number): boolean {
    return revision === EMPTY || this.#changes.has(revision);
  }

  changesAt(revision: number): ReadonlyMap<string, string | undefined> | undefined {
    return this.#changes.get(revision);
  }

  /** The revision at which a write took effect, if it did and that can be told. */
  revisionOf(write: Write): number | undefined {
    if (write.revision !== undefined) return write.revision;
    for (const value of write.changes.values()) {
      if (value !== undefined) return this.#revisionOfValue.get(value);
    }
    return undefined;
  }

  /** What a key held at a revision. */
  at(key: string, revision: number): Pair | undefined {
    const versions = this.#versions.get(key) ?? [];
    let low = 0;
    let high = versions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((versions[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return versions[low - 1]?.pair;
  }
}

/** For times or revisions that grow: the greatest value among all entries up to one. */
class RunningMaximum {
  readonly #at: number[] = [];
  readonly #maximum: number[] = [];

  constructor(entries: readonly (readonly [at: number, value: number])[]) {
    for (const [at, value] of entries.toSorted(([a], [b]) => a - b)) {
      this.#at.push(at);
      this.#maximum.push(Math.max(value, this.#maximum.at(-1) ?? Number.NEGATIVE_INFINITY));
    }
  }

  upTo(at: number): number {
    let low = 0;
    let high = this.#at.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#at[middle] as number) <= at) low = middle + 1;
      else high = middle;
    }
    return this.#maximum[low - 1] ?? Number.NEGATIVE_INFINITY;
  }
}

/**
 * What is wrong with a history, in words; nothing when it is linearizable.
 * @param log every change of the store from the beginning, also those that are not of this history
 */
export function violations(history: History, log: readonly Change[]): string[] {
  const store = new Store(log);
  const completed = new RunningMaximum(
    [...history.reads, ...history.writes].map(({ completed, revision = EMPTY }) => [completed, revision]),
  );
  const begun = new RunningMaximum(
    history.writes.map((write) => [store.revisionOf(write) ?? Number.POSITIVE_INFINITY, write.invoked]),
  );
  return [
    ...history.reads.flatMap((read) => wrongRead(read, store, completed, begun)),
    ...history.writes.flatMap((write) => wrongWrite(write, store, completed, begun)),
  ];
}

function wrongRead(read: Read, store: Store, completed: RunningMaximum, begun: RunningMaximum): string[] {
  const wrong: string[] = [];
  const say = (what: string): void => void wrong.push(`${read.by} read revision ${read.revision}: ${what}`);
  if (!store.has(read.revision)) say('which does not exist');
  const floor = completed.upTo(read.invoked);
  if (read.revision < floor) say(`too old, ${floor} was known before it began`);
  if (begun.upTo(read.revision) > read.completed) say('before somebody began to write it');
  const expected = read.keys.flatMap((key) => store.at(key, read.revision) ?? []);
  if (!samePairs(expected, read.pairs))
    say(`got ${JSON.stringify(read.pairs)} instead of ${JSON.stringify(expected)}`);
  return wrong;
}

function samePairs(expected: readonly Pair[], found: readonly Pair[]): boolean {
  return (
    expected.length === found.length &&
    expected.every((pair, index) => {
      const other = found[index] as Pair;
      return (Object.keys(pair) as (keyof Pair)[]).every((field) => pair[field] === other[field]);
    })
  );
}

function wrongWrite(write: Write, store: Store, completed: RunningMaximum, begun: RunningMaximum): string[] {
  const { revision } = write;
  if (revision === undefined) return [];
  const wrong: string[] = [];
  const say = (what: string): void => void wrong.push(`${write.by} wrote revision ${revision}: ${what}`);
  const found = store.changesAt(revision);
  for (const [key, value] of write.changes) {
    const done = value === undefined ? store.at(key, revision) === undefined : found?.get(key) === value;
    if (!done) say(`${key} is not as written`);
  }
  const floor = completed.upTo(write.invoked);
  if (revision <= floor) say(`too early, ${floor} was known before it began`);
  if (begun.upTo(revision) > write.completed) say('after a write that began later');
  return wrong;
}
