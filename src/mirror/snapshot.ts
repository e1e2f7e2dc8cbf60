/**
 * Reads all keys of a range as they were at one revision, page by page: the first page is linearizable and names the
 * revision, the others are read at it. No page is large, and nothing is kept of one but what is copied out of it.
 */
import type { Read } from '../clients/probe.ts';
import { HEADER_TAG, type Header, NO_HEADER, readHeader } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { rangeRequest } from '../etcd/range-request.ts';
import { KVS_TAG, MORE_TAG } from '../etcd/range-response.ts';
import { Scanner } from '../etcd/scanner.ts';
import { Store } from '../mvcc/store.ts';
import { readVersion, type Version } from '../mvcc/version.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** The size that pages shall have, in bytes. */
const PAGE_BYTES = 1 << 20;
/** Keys of the first page; how large they are is not known yet. */
const FIRST_KEYS = 64;
/** Keys of any page. */
const MAX_KEYS = 2000;

/** The range takes more memory than it may. */
export class OverBound extends Error {}

/** The snapshot is not wanted any more. */
class Abandoned extends Error {}

/** What a snapshot may cost. */
export interface SnapshotLimits {
  /** Memory of the store. */
  readonly bytes: number;
  /** Revisions of history that the store may get later. */
  readonly historyRevisions: number;
}

/** A prefix as it was at one revision. */
export interface Snapshot {
  readonly store: Store;
  /** etcd's header of the first page: the revision of the snapshot, and the cluster. */
  readonly header: Header;
}

interface Page {
  readonly header: Header;
  readonly versions: readonly Version[];
  readonly more: boolean;
}

/**
 * Reads a snapshot.
 * @param wanted is asked between pages; `false` ends it with {@link Abandoned}
 * @throws RpcError as etcd or the way to it does; OUT_OF_RANGE when the revision was compacted meanwhile
 */
export async function loadSnapshot(
  read: Read,
  range: KeyRange,
  limits: SnapshotLimits,
  wanted: () => boolean,
): Promise<Snapshot> {
  let snapshot: Snapshot | undefined;
  let from = range.start;
  let limit = FIRST_KEYS;
  for (;;) {
    let reply: Uint8Array;
    try {
      reply = await read(
        rangeRequest({
          key: from,
          rangeEnd: range.rangeEnd,
          limit,
          revision: snapshot?.header.revision ?? 0,
        }),
      );
    } catch (error) {
      // Larger than what may be received at once: fewer keys, down to one.
      if (!(error instanceof RpcError) || error.code !== Code.RESOURCE_EXHAUSTED || limit === 1) throw error;
      limit = Math.ceil(limit / 8);
      continue;
    }
    if (!wanted()) throw new Abandoned();
    const { header, versions, more } = readPage(reply);
    snapshot ??= { store: new Store(header.revision, limits.historyRevisions), header };
    if (header.cluster !== snapshot.header.cluster)
      throw new RpcError(Code.UNAVAILABLE, 'the pages of a snapshot come from different clusters');
    for (const version of versions) snapshot.store.load(version);
    if (snapshot.store.bytes > limits.bytes) throw new OverBound();
    const last = versions.at(-1);
    if (!more || last === undefined) return snapshot;
    from = `${last.key}\0`;
    const fitting = Math.floor((versions.length * PAGE_BYTES) / reply.length);
    limit = Math.max(1, Math.min(fitting, limit * 4, MAX_KEYS));
  }
}

/** @throws MalformedMessage */
function readPage(reply: Uint8Array): Page {
  const scan = new Scanner(reply);
  const versions: Version[] = [];
  let header = NO_HEADER;
  let more = false;
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    if (tag === KVS_TAG) {
      scan.pos = scan.delimited();
      versions.push(readVersion(scan.bytes, start, scan.pos));
    } else if (tag === HEADER_TAG) {
      const end = scan.delimited();
      header = readHeader(scan.bytes.subarray(scan.pos, end));
      scan.pos = end;
    } else if (tag === MORE_TAG) more = scan.varint() !== 0;
    else scan.skip(tag & 7);
  }
  return { header, versions, more };
}
