/**
 * What etcd holds below a prefix, at every revision from `floor` to `applied`. Keys are in sorted chunks; each leads to
 * its newest version and from there to older ones. Knows nothing of where changes come from and who asks.
 *
 *     chunks   [a … f]      [g … p]      [q … z]
 *                 │ newest of c: revision 48
 *                 └──▶ 48 ──▶ 44 ──▶ 17         at revision 45: 44
 *     log      44 47 48                         what the floor passes when it rises
 */
import { CHUNK_KEYS, Chunk } from './chunk.ts';
import { deletion, type Version } from './version.ts';
import { versionAt, type Walk } from './walk.ts';
import type { Work } from './work.ts';

/** Forgotten places at the front of the log that are given back together, once they are half of it. */
const FORGOTTEN_TOGETHER = 1024;

let stores = 0;

export class Store {
  /** Tells stores apart without holding on to them. */
  readonly serial = ++stores;
  /** Every event up to here is in. */
  applied: number;
  /** The state at this revision and at all later ones up to {@link applied} is known. */
  floor: number;
  /** Keys that exist now. */
  keys = 0;
  /** The memory of all that is held, in bytes. */
  bytes = 0;
  readonly #maxRevisions: number;
  readonly #chunks: Chunk[] = [new Chunk([], [], 0, 0)];
  /** The changes above the floor, oldest first. */
  #log: Version[] = [];
  #logHead = 0;
  #revisions = 0;

  /**
   * @param revision the revision of the state that will be put in first
   * @param maxRevisions how many revisions with changes are remembered
   */
  constructor(revision: number, maxRevisions: number) {
    this.applied = revision;
    this.floor = revision;
    this.#maxRevisions = maxRevisions;
  }

  /** Puts in a key of the state at the first revision. Ascending order is fastest. */
  load(version: Version): void {
    this.#insert(version);
  }

  /** Takes a change of a revision above {@link applied}, which the caller moves when the revision is complete. */
  put(version: Version): void {
    this.#insert(version);
    this.#remember(version);
  }

  /** Takes the deletion of a key, like {@link put}. */
  delete(key: string, revision: number): void {
    const gone = deletion(key, revision);
    if (this.#insert(gone)) this.#remember(gone);
  }

  /** Forgets history until it has at most the number of revisions it may have, and all of it at most `bytes`, if that can be. */
  trim(bytes: number): void {
    while (this.#revisions > this.#maxRevisions || (this.bytes > bytes && this.#revisions > 0))
      this.#forgetRevision();
  }

  /** The version of a key at a revision, unless it did not exist. */
  get(key: string, revision: number, work: Work): Version | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)] as Chunk;
    const place = chunk.find(key);
    if (chunk.keys[place] !== key) return undefined;
    const version = versionAt(chunk.newest[place] as Version, revision, work);
    return version?.exists ? version : undefined;
  }

  /**
   * Collects the versions of a range at a revision, in order, and counts them; stops when others should have a turn, and
   * goes on from there when it is called again, whatever has changed meanwhile.
   * @returns whether the range is at its end
   */
  collect(walk: Walk, work: Work): boolean {
    const { end, revision, limit, found } = walk;
    for (let at = this.#chunkOf(walk.start); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as Chunk;
      const { keys, newest } = chunk;
      let place = chunk.find(walk.start);
      const stop = (keys.at(-1) ?? '') < end ? keys.length : chunk.find(end);
      if (work.due && place < stop) {
        walk.start = keys[place] as string;
        return false;
      }
      if (walk.collected >= limit && place === 0 && stop === keys.length && chunk.changed <= revision) {
        walk.total += chunk.live;
        work.visits++;
        continue;
      }
      for (; place < stop; place++) {
        if (work.due) {
          walk.start = keys[place] as string;
          return false;
        }
        const version = versionAt(newest[place] as Version, revision, work);
        if (version === undefined || !version.exists) continue;
        walk.total++;
        if (walk.collected >= limit) continue;
        walk.collected++;
        found.push(version);
      }
      if (stop < keys.length) break;
    }
    return true;
  }

  /** Whether anything in `[start, end)`, or near it, has changed after a revision. */
  changedSince(start: string, end: string, revision: number): boolean {
    for (let at = this.#chunkOf(start); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as Chunk;
      if (at > 0 && (chunk.keys[0] ?? '') >= end) return false;
      if (chunk.changed > revision) return true;
    }
    return false;
  }

  /** Where a key is or would be: the last chunk that does not start above it. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (((this.#chunks[middle] as Chunk).keys[0] as string) <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Makes a version the newest of its key; a deletion of what is not there is passed over. */
  #insert(version: Version): boolean {
    const at = this.#chunkOf(version.key);
    const chunk = this.#chunks[at] as Chunk;
    const place = chunk.find(version.key);
    const known = chunk.keys[place] === version.key ? (chunk.newest[place] as Version) : undefined;
    if (!version.exists && !known?.exists) return false;
    const change = (version.exists ? 1 : 0) - (known?.exists ? 1 : 0);
    chunk.live += change;
    this.keys += change;
    this.bytes += version.cost;
    chunk.changed = Math.max(chunk.changed, version.modRevision);
    if (known !== undefined) {
      version.older = known;
      chunk.newest[place] = version;
    } else if (place === CHUNK_KEYS && at === this.#chunks.length - 1) {
      // Keys that come in order fill chunks to the brim.
      chunk.live--;
      this.#chunks.push(new Chunk([version.key], [version], 1, version.modRevision));
    } else {
      chunk.keys.splice(place, 0, version.key);
      chunk.newest.splice(place, 0, version);
      if (chunk.keys.length > CHUNK_KEYS) this.#chunks.splice(at + 1, 0, chunk.split());
    }
    return true;
  }

  #remember(version: Version): void {
    if (this.#log.at(-1)?.modRevision !== version.modRevision) this.#revisions++;
    this.#log.push(version);
  }

  /** Raises the floor to the oldest revision in the log: what was before its changes is forgotten. */
  #forgetRevision(): void {
    const revision = (this.#log[this.#logHead] as Version).modRevision;
    while (this.#log[this.#logHead]?.modRevision === revision) {
      const version = this.#log[this.#logHead] as Version;
      this.#log[this.#logHead++] = undefined as unknown as Version;
      this.#cut(version);
      // A deletion with something newer on top is cut when the floor passes that.
      if (!version.exists) this.#removeIfNewest(version);
    }
    this.floor = revision;
    this.#revisions--;
    if (this.#logHead < FORGOTTEN_TOGETHER || this.#logHead * 2 < this.#log.length) return;
    this.#log = this.#log.slice(this.#logHead);
    this.#logHead = 0;
  }

  #cut(version: Version): void {
    for (let old = version.older; old !== undefined; old = old.older) this.bytes -= old.cost;
    version.older = undefined;
  }

  /** Takes a deleted key out, if nothing came after the deletion. */
  #removeIfNewest(gone: Version): void {
    const at = this.#chunkOf(gone.key);
    const chunk = this.#chunks[at] as Chunk;
    const place = chunk.find(gone.key);
    if (chunk.newest[place] !== gone) return;
    chunk.keys.splice(place, 1);
    chunk.newest.splice(place, 1);
    this.bytes -= gone.cost;
    if (chunk.keys.length === 0 && this.#chunks.length > 1) this.#chunks.splice(at, 1);
    if (place > 0) return;
    // The place of the key now belongs to the chunk before, or for the very first one to the chunk after.
    const neighbour = this.#chunks[Math.max(0, at - 1)] as Chunk;
    neighbour.changed = Math.max(neighbour.changed, chunk.changed);
  }
}
