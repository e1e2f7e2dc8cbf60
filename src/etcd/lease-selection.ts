/** A list of leases without some of them, made in parts: etcd's list of all leases may have millions. */
import { LeaseTag } from './lease-tags.ts';
import { StrictFields } from './strict-fields.ts';

/** `LeaseLeasesResponse.leases`. */
const LEASES = 0x12;

export class LeaseSelection {
  readonly #reply: Uint8Array;
  readonly #wanted: (lease: bigint) => boolean;
  readonly #fields: StrictFields;
  /** What is kept of the reply. */
  readonly #selected: Buffer;
  #length = 0;

  /** @param reply a `LeaseLeasesResponse` */
  constructor(reply: Uint8Array, wanted: (lease: bigint) => boolean) {
    this.#reply = reply;
    this.#wanted = wanted;
    this.#fields = new StrictFields(reply);
    this.#selected = Buffer.allocUnsafe(reply.length);
  }

  /**
   * Looks at so many leases.
   * @returns the reply with those that are wanted; `undefined`: there are more to look at
   * @throws RpcError for bytes that are no message
   */
  advance(count: number): Uint8Array | undefined {
    const fields = this.#fields;
    let keptFrom = fields.to;
    for (let left = count; left > 0; left--) {
      if (!fields.next()) {
        this.#keep(keptFrom, fields.to);
        return this.#selected.subarray(0, this.#length);
      }
      if (fields.tag !== LEASES || this.#wanted(leaseAt(fields.inner()))) continue;
      this.#keep(keptFrom, fields.start);
      keptFrom = fields.to;
    }
    this.#keep(keptFrom, fields.to);
    return undefined;
  }

  #keep(from: number, to: number): void {
    this.#selected.set(this.#reply.subarray(from, to), this.#length);
    this.#length += to - from;
  }
}

/** The lease of a `LeaseStatus`. */
function leaseAt(fields: StrictFields): bigint {
  let id = 0n;
  while (fields.next()) if (fields.tag === LeaseTag.ofLease) id = fields.int64();
  return id;
}
