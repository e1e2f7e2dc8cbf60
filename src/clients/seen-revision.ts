/**
 * The highest revision of etcd that this proxy has told any client. No answer that the proxy makes itself is older: so
 * a write through it is seen by every later read through it, whichever client asks and whatever the write was, and no
 * client sees revisions go back. Writes need not be understood for this, since every reply of etcd begins with a
 * header that names the revision.
 *
 * Revisions of different clusters cannot be compared. When a header has another cluster's number, counting starts
 * anew, and whoever remembers answers of the old cluster is told.
 */

import { HeaderPlace } from '../etcd/header.ts';

/** Varints have at most ten bytes. */
const MAX_VARINT = 10;

export class SeenRevision {
  /** No answer of the proxy's own may have a header or data from before this revision. */
  revision = 0;
  /** How often another cluster has answered. */
  replacements = 0;
  /** `cluster_id` as it is written. */
  readonly #cluster = new Uint8Array(MAX_VARINT);
  #clusterLength = 0;
  readonly #place = new HeaderPlace();
  readonly #replaced: (() => void)[] = [];

  /** Calls back whenever another cluster answers, before its revision counts. */
  onReplaced(listener: () => void): void {
    this.#replaced.push(listener);
  }

  /** A client is told a revision of the same cluster. */
  raise(revision: number): void {
    if (revision > this.revision) this.revision = revision;
  }

  /**
   * A client is told what is in a message of etcd's. Does nothing when that has no header where all of etcd's have it.
   * @returns the revision in it, 0 when there is none
   */
  saw(message: Uint8Array): number {
    const place = this.#place;
    if (!place.find(message, 2)) return 0;
    const { cluster, clusterEnd, revision } = place;
    if (!this.#same(message, cluster, clusterEnd)) this.#replace(message.subarray(cluster, clusterEnd));
    this.raise(revision);
    return revision;
  }

  /** The revision in a message that is not given to a client yet; 0 where it is none of the same cluster. */
  peek(message: Uint8Array): number {
    const place = this.#place;
    if (!place.find(message, 1) || !this.#same(message, place.cluster, place.clusterEnd)) return 0;
    return place.revision;
  }

  /** The cluster was set back to a backup and is at this revision now: what was told before is of a past that is gone. */
  setBack(revision: number): void {
    this.#forget();
    this.revision = revision;
  }

  #same(message: Uint8Array, start: number, end: number): boolean {
    const known = this.#cluster;
    if (end - start !== this.#clusterLength) return false;
    for (let at = start; at < end; at++) if (message[at] !== known[at - start]) return false;
    return true;
  }

  #replace(cluster: Uint8Array): void {
    const first = this.#clusterLength === 0;
    if (cluster.length > MAX_VARINT) return;
    this.#cluster.set(cluster);
    this.#clusterLength = cluster.length;
    if (!first) this.#forget();
  }

  #forget(): void {
    this.replacements++;
    for (const listener of this.#replaced) listener();
    this.revision = 0;
  }
}
