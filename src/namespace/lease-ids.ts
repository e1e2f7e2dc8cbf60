/**
 * Which leases belong to a namespace: it shows in their ids, so that no proxy has to remember it. The upper bits of an id are
 * a hash of the namespace, the lower ones are random. Ids are positive, as those that etcd chooses.
 */
import { createHash, randomInt } from 'node:crypto';

/**
 * Bits of the hash. Among a thousand namespaces two have the same one with a probability of one in two million; ids that
 * etcd has chosen itself, elsewhere, begin with parts of its clock and fit one for 32 s in 35 years at most.
 */
const HASH_BITS = 40n;
/** Bits that are chosen for each lease: 8 million, of which a choice that is taken is made again. */
const OWN_BITS = 63n - HASH_BITS;
const OWN_LIMIT = 2 ** Number(OWN_BITS);

/** The ids of the leases of a namespace. */
export class LeaseIds {
  readonly #hash: bigint;

  constructor(prefix: Uint8Array) {
    const digest = createHash('sha256').update(prefix).digest();
    this.#hash = digest.readBigUInt64BE() >> (64n - HASH_BITS);
  }

  /** The id that no lease has: asked for this one, etcd says what it says of a lease that is not there. */
  get absent(): bigint {
    return this.#hash << OWN_BITS;
  }

  /** Whether a lease with this id was granted here. */
  owns(id: bigint): boolean {
    return id > 0n && id >> OWN_BITS === this.#hash && id !== this.absent;
  }

  /** An id for a new lease. */
  choose(): bigint {
    return this.absent | BigInt(randomInt(1, OWN_LIMIT));
  }

  /** The id itself, if it is one of here; otherwise the {@link absent} one. */
  readonly hidden = (id: bigint): bigint => (this.owns(id) ? id : this.absent);
}
