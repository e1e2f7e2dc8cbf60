/** The probes of one identity that watches, and what is asked when no range is named. */
import type { KeyRange } from '../etcd/key-range.ts';
import type { Identity } from './identity.ts';
import type { Asker } from './probe.ts';
import { ANY_RANGE, ProbeTable, type ReadAs } from './probes.ts';

/** A range that is asked about again where any will do is no longer than this. Bytes. */
const MAX_ALLOWED_BYTES = 1024;

export class IdentityProbes {
  readonly #identity: Identity;
  readonly #table: ProbeTable;
  /** A range that etcd has allowed the client to read; without a token, any, once it was asked. */
  #allowed: KeyRange | undefined;

  constructor(identity: Identity, read: ReadAs) {
    this.#identity = identity;
    this.#table = new ProbeTable(read, {
      onAllowed: (range) => {
        if (range.bytes <= MAX_ALLOWED_BYTES) this.#allowed = range;
      },
    });
  }

  /** How many ranges are asked about now. */
  get size(): number {
    return this.#table.size;
  }

  /** Asks for etcd's revision and whether the client may watch the range. */
  ask(range: KeyRange, asker: Asker): void {
    if (!this.#identity.hasToken) this.#allowed = ANY_RANGE;
    this.#table.of(this.#identity, range).permission(asker);
  }

  /** Asks for etcd's revision on behalf of nothing that is watched; refused where nothing was asked before. */
  askAny(asker: Asker): void {
    const range = this.#allowed;
    const access = range === undefined ? this.#table.first : this.#table.of(this.#identity, range);
    if (access === undefined) asker.onProbed({ kind: 'refused', reason: '' });
    else access.permission(asker);
  }
}
