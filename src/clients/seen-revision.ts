/**
 * The highest revision of etcd that this proxy has told any client. No answer that the proxy makes itself is older: so
 * a write through it is seen by every later read through it, whichever client asks and whatever the write was, and no
 * client sees revisions go back. Writes need not be understood for this, since every reply of etcd begins with a
 * header that names the revision.
 *
 * Revisions of different clusters cannot be compared. When a header has another cluster's number, counting starts
 * anew, and whoever remembers answers of the old cluster is told.
 */

/** Protobuf tags: the header as the first field of a reply, and the first three fields of a header. */
const HEADER_TAG = 0x0a;
const CLUSTER_TAG = 0x08;
const MEMBER_TAG = 0x10;
const REVISION_TAG = 0x18;

/** Every byte of a varint but the last is at least this. */
const CONTINUED = 0x80;

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
   * (`RangeStreamResponse` has it one level down.)
   * @returns the revision in it, 0 when there is none
   */
  saw(message: Uint8Array): number {
    let at = 0;
    for (let depth = 0; depth < 2; depth++) {
      if (message[at] !== HEADER_TAG) return 0;
      at = varintEnd(message, at + 1);
      if (message[at] === CLUSTER_TAG) return this.#header(message, at + 1);
    }
    return 0;
  }

  /** The revision in a message that is not given to a client yet; 0 where it is none of the same cluster. */
  peek(message: Uint8Array): number {
    if (message[0] !== HEADER_TAG) return 0;
    const cluster = varintEnd(message, 1) + 1;
    const clusterEnd = varintEnd(message, cluster);
    if (message[cluster - 1] !== CLUSTER_TAG || !this.#same(message, cluster, clusterEnd)) return 0;
    const at = varintEnd(message, clusterEnd + 1);
    return message[at] === REVISION_TAG ? varintAt(message, at + 1) : 0;
  }

  /** The cluster was set back to a backup and is at this revision now: what was told before is of a past that is gone. */
  setBack(revision: number): void {
    this.#forget();
    this.revision = revision;
  }

  /** Reads a header whose `cluster_id` starts at a position; etcd writes its fields in their order. */
  #header(message: Uint8Array, cluster: number): number {
    const clusterEnd = varintEnd(message, cluster);
    if (message[clusterEnd] !== MEMBER_TAG) return 0;
    const at = varintEnd(message, clusterEnd + 1);
    if (message[at] !== REVISION_TAG) return 0;
    const revision = varintAt(message, at + 1);
    if (!this.#same(message, cluster, clusterEnd)) this.#replace(message.subarray(cluster, clusterEnd));
    this.raise(revision);
    return revision;
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

/** The varint that starts at a position; revisions fit into a number. */
function varintAt(message: Uint8Array, start: number): number {
  let value = 0;
  let scale = 1;
  let at = start;
  for (let byte = CONTINUED; byte >= CONTINUED; scale *= CONTINUED) {
    byte = message[at++] ?? 0;
    value += (byte & 0x7f) * scale;
  }
  return value;
}

/** Where the varint that starts at a position ends; the end of the message where it is cut off. */
function varintEnd(message: Uint8Array, start: number): number {
  let at = start;
  while ((message[at] as number) >= CONTINUED) at++;
  return at + 1;
}
