/**
 * The revision probes of one identity. Without a token any key will do, so all ask with one; with a token what is asked
 * about is the very range, since the answer also says whether the client may read it. A probe for a range is there while
 * somebody waits for it: what clients name may be long, and nothing of it has to be remembered.
 */
import type { KeyRange } from '../etcd/key-range.ts';
import type { Identity } from './identity.ts';
import { type Asker, Probe, type Read } from './probe.ts';

/** A range that is asked about again where any will do is no longer than this. Bytes. */
const MAX_ALLOWED_BYTES = 1024;

export class RevisionProbes {
  readonly #read: Read;
  readonly #byRange: boolean;
  /** By range; those that are asked now. */
  readonly #probes = new Map<string, Probe>();
  /** What serves all ranges of a client without a token, once it was asked. */
  #common: Probe | undefined;
  /** A range that etcd has allowed the client to read. */
  #allowed: KeyRange | undefined;

  /** @param read sends a read with the metadata of the identity */
  constructor(identity: Identity, read: Read) {
    this.#read = read;
    this.#byRange = identity.hasToken;
  }

  /** How many ranges are asked about now. */
  get size(): number {
    return this.#probes.size;
  }

  /** Asks for etcd's revision and whether the client may watch the range. */
  ask(range: KeyRange, asker: Asker): void {
    if (this.#byRange) (this.#probes.get(range.id) ?? this.#begin(range)).ask(asker);
    else {
      this.#common ??= new Probe(this.#read, '\0', '');
      this.#common.ask(asker);
    }
  }

  /** Asks for etcd's revision on behalf of nothing that is watched; refused where nothing was asked before. */
  askAny(asker: Asker): void {
    if (this.#allowed !== undefined) this.ask(this.#allowed, asker);
    else {
      const probe = this.#common ?? this.#probes.values().next().value;
      if (probe === undefined) asker.probed({ kind: 'refused' });
      else probe.ask(asker);
    }
  }

  #begin(range: KeyRange): Probe {
    const read: Read = async (request) => {
      const reply = await this.#read(request);
      if (range.bytes <= MAX_ALLOWED_BYTES) this.#allowed = range;
      return reply;
    };
    const probe = new Probe(read, range.start, range.rangeEnd);
    probe.onIdle = () => this.#probes.delete(range.id);
    this.#probes.set(range.id, probe);
    return probe;
  }
}
