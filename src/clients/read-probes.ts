/**
 * Asks etcd, in a client's name, what a mirror cannot know: the store's revision for linearizable reads, and for all
 * reads whether the client may read. Both are one count of keys without keys and values; reads that come at the same
 * time share it. With a token it is made for the very range; without one there is nothing to tell ranges apart by, since
 * etcd then refuses all or none.
 */

import { KeyRange } from '../etcd/key-range.ts';
import { isRefusal } from '../etcd/statuses.ts';
import { BoundedTable, type TableBounds } from '../rpc/bounded-table.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { RpcError } from '../rpc/status.ts';
import type { Identity } from './identity.ts';
import { Permission, type Permissions } from './permission.ts';
import { type Asker, Probe, type Read } from './probe.ts';

/** Identities and ranges that are kept, as long as etcd does not refuse them; a busy probe goes on when it is forgotten. */
const PROBES: TableBounds = { entries: 1000, bytes: 16 << 20 };

/** What one costs beside its key, its metadata and their encoded form, and its range. Bytes. */
const PROBE_BYTES = 600;

/** Sends an encoded RangeRequest with a client's metadata. */
export type ReadAs = (metadata: Metadata, request: Uint8Array) => Promise<Uint8Array>;

/** What is asked for one identity, and with a token for one range. */
export interface Access {
  /** Whether etcd has allowed the client to read not long ago. */
  readonly allowed: boolean;
  /** Asks for a revision that is not older than this moment. */
  revision(asker: Asker): void;
  /** Asks whether the client may read, with the revision of any member. */
  permission(asker: Asker): void;
}

/** `key` and `range_end` of a read. */
export interface ReadRange {
  readonly start: string;
  readonly rangeEnd: string;
}

/** Finds the probe for a client's read. */
export interface Probes {
  /** @param range what is read, latin1; it matters with a token only */
  of(identity: Identity, range: ReadRange): Access;
}

class ReadAccess implements Access {
  readonly #linearizable: Probe;
  readonly #serializable: Probe;
  readonly #refused: () => void;
  readonly #permission: Permission;

  /** @param refused is told that etcd refuses the client */
  constructor(read: Read, key: string, rangeEnd: string, permission: Permission, refused: () => void) {
    this.#permission = permission;
    this.#refused = refused;
    const noted: Read = (request) => this.#note(read, request);
    this.#linearizable = new Probe(noted, key, rangeEnd, true);
    this.#serializable = new Probe(noted, key, rangeEnd);
  }

  get allowed(): boolean {
    return this.#permission.has(performance.now());
  }

  revision(asker: Asker): void {
    this.#linearizable.ask(asker);
  }

  permission(asker: Asker): void {
    this.#serializable.ask(asker);
  }

  async #note(read: Read, request: Uint8Array): Promise<Uint8Array> {
    const sent = performance.now();
    try {
      const reply = await read(request);
      this.#permission.grant(sent);
      return reply;
    } catch (error) {
      if (isRefusal(RpcError.from(error))) {
        this.#permission.refuse(performance.now());
        this.#refused();
      }
      throw error;
    }
  }
}

export class ReadProbes implements Probes {
  readonly #permissions: Permissions;
  readonly #read: ReadAs;
  readonly #probes = new BoundedTable<ReadAccess>(PROBES);

  constructor(permissions: Permissions, read: ReadAs) {
    this.#permissions = permissions;
    this.#read = read;
  }

  /** Memory of those that are kept, in bytes. */
  get bytes(): number {
    return this.#probes.bytes;
  }

  /** Those that had to go for others. */
  get forgotten(): number {
    return this.#probes.forgotten;
  }

  of(identity: Identity, { start, rangeEnd }: ReadRange): ReadAccess {
    const range = identity.hasToken ? new KeyRange(start, rangeEnd) : undefined;
    const key = range === undefined ? identity.id : `${identity.id}${range.id}`;
    let probe = this.#probes.get(key);
    if (probe === undefined) {
      const read: Read = (request) => this.#read(identity.metadata, request);
      const refused = () => this.#probes.delete(key);
      probe = new ReadAccess(
        read,
        range?.start ?? '\0',
        range?.rangeEnd ?? '',
        new Permission(this.#permissions),
        refused,
      );
      const bytes = PROBE_BYTES + 2 * key.length + 2 * identity.bytes + (range?.bytes ?? 0);
      this.#probes.add(key, probe, bytes);
    }
    return probe;
  }
}
