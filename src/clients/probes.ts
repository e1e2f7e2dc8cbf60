/**
 * The table of probes: by identity, and with a token by range too, since etcd's answer also says whether the client may
 * read that range. Without a token there is nothing to tell ranges apart by: etcd then refuses all or none, and any key
 * will do. Whoever asks about the same at the same time asks together.
 *
 * What is asked about now stands in the table while somebody waits. Mirrors have it remember what etcd has allowed after
 * that, within bounds; for watches nothing needs to be: what clients name may be long.
 */
import { KeyRange } from '../etcd/key-range.ts';
import { BoundedTable, type TableBounds } from '../rpc/bounded-table.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { type Access, type AccessOwner, RangeAccess, type ReaderAccess } from './access.ts';
import type { Identity } from './identity.ts';
import { Permission, Permissions } from './permission.ts';
import { RecentRefusals } from './recent-refusals.ts';

/** Identities and ranges of which it is remembered that etcd has allowed them. */
const PROBES: TableBounds = { entries: 1000, bytes: 16 << 20 };

/** What one costs beside its key, its metadata and their encoded form, and its range. Bytes. */
const PROBE_BYTES = 600;

/** What is asked about without a token. */
export const ANY_RANGE = new KeyRange('\0', '');

/** Sends an encoded RangeRequest with a client's metadata. */
export type ReadAs = (metadata: Metadata, request: Uint8Array) => Promise<Uint8Array>;

/** `key` and `range_end` of a read, latin1. */
export interface ReadRange {
  readonly start: string;
  readonly rangeEnd: string;
}

/** Finds what can be asked for a client's read. */
export interface Probes {
  /**
   * Is to be used at once: later the table may have another one.
   * @param range what is read; it matters with a token only
   */
  of(identity: Identity, range: ReadRange): Access;
}

/** Finds what is known of a client that shares answers; to be used at once. */
export interface Readers {
  of(identity: Identity, range: ReadRange): ReaderAccess;
}

/** What is remembered of the probes, and who hears of permissions. */
export interface ProbeTableOptions {
  /** How many of them. */
  readonly bounds?: TableBounds;
  /** The permissions that are remembered; without them none is. */
  readonly permissions?: Permissions;
  /** etcd lets a client read a range. */
  readonly onAllowed?: (range: KeyRange) => void;
}

export class ProbeTable implements Probes, Readers, AccessOwner {
  readonly #read: ReadAs;
  readonly #permissions: Permissions;
  readonly #onAllowed: ((range: KeyRange) => void) | undefined;
  /** Those that somebody waits for. */
  readonly #asked = new Map<string, RangeAccess>();
  /** Those that etcd has allowed, whether or not somebody waits. */
  readonly #allowed: BoundedTable<RangeAccess> | undefined;
  /** Those that etcd has refused, whatever else of them is forgotten. */
  readonly #refusals: RecentRefusals | undefined;

  constructor(read: ReadAs, { permissions, onAllowed, bounds = PROBES }: ProbeTableOptions) {
    this.#read = read;
    this.#permissions = permissions ?? new Permissions();
    this.#allowed = permissions === undefined ? undefined : new BoundedTable(bounds);
    this.#refusals = permissions === undefined ? undefined : new RecentRefusals();
    this.#onAllowed = onAllowed;
  }

  /** How many somebody waits for. */
  get size(): number {
    return this.#asked.size;
  }

  /** The first of those. */
  get first(): Access | undefined {
    return this.#asked.values().next().value;
  }

  /** Memory of those that are remembered, in bytes. */
  get bytes(): number {
    return this.#allowed?.bytes ?? 0;
  }

  /** Those that had to go for others. */
  get forgotten(): number {
    return (this.#allowed?.forgotten ?? 0) + (this.#refusals?.forgotten ?? 0);
  }

  of(identity: Identity, range: ReadRange): RangeAccess {
    const asked = identity.hasToken ? keyRangeOf(range) : ANY_RANGE;
    const key = identity.hasToken ? identity.id + asked.id : identity.id;
    return (
      this.#allowed?.get(key) ??
      this.#asked.get(key) ??
      new RangeAccess(this, key, identity, asked, new Permission(this.#permissions, this.#refusals?.of(key)))
    );
  }

  read({ metadata }: Identity, request: Uint8Array): Promise<Uint8Array> {
    return this.#read(metadata, request);
  }

  onAsked(access: RangeAccess): void {
    this.#asked.set(access.key, access);
  }

  onIdle({ key }: RangeAccess): void {
    this.#asked.delete(key);
  }

  onAllowed(access: RangeAccess): void {
    const { key, identity, range } = access;
    this.#onAllowed?.(range);
    if (this.#allowed === undefined || this.#allowed.get(key) !== undefined) return;
    const bytes = PROBE_BYTES + 2 * key.length + 2 * identity.bytes + range.bytes;
    this.#allowed.add(key, access, bytes);
  }

  /** A refused range is forgotten, so that invented tokens and ranges leave nothing in memory but when that was. */
  onRefused({ key }: RangeAccess, now: number): void {
    this.#allowed?.delete(key);
    this.#refusals?.add(key, now);
  }
}

function keyRangeOf(range: ReadRange): KeyRange {
  return range instanceof KeyRange ? range : new KeyRange(range.start, range.rangeEnd);
}
