/**
 * The revision probes of one identity. Without a token any key will do, so all ask with one; with a token what is asked
 * about is the very range, since the answer also says whether the client may read it.
 */
import type { KeyRange } from '../key-range.ts';
import type { Identity } from './identity.ts';
import { type Asker, type Read, RevisionProbe } from './revision-probe.ts';

/** Probes of different ranges that are kept; one that is busy goes on when it is forgotten. */
const MAX_PROBES = 1000;

export class RevisionProbes {
  readonly #read: Read;
  readonly #byRange: boolean;
  readonly #probes = new Map<string, RevisionProbe>();

  /** @param read sends a read with the metadata of the identity */
  constructor(identity: Identity, read: Read) {
    this.#read = read;
    this.#byRange = identity.hasToken;
  }

  /** Asks for etcd's revision and whether the client may watch the range. */
  ask(range: KeyRange, asker: Asker): void {
    const id = this.#byRange ? range.id : '';
    let probe = this.#probes.get(id);
    if (probe === undefined) {
      probe = this.#byRange
        ? new RevisionProbe(this.#read, range.start, range.rangeEnd)
        : new RevisionProbe(this.#read, '\0', '');
      this.#probes.set(id, probe);
      if (this.#probes.size > MAX_PROBES) this.#probes.delete(this.#probes.keys().next().value as string);
    }
    probe.ask(asker);
  }

  /** Asks for etcd's revision on behalf of nothing that is watched; refused where nothing was asked before. */
  askAny(asker: Asker): void {
    const probe = this.#probes.values().next().value;
    if (probe === undefined) asker.probed({ kind: 'refused' });
    else probe.ask(asker);
  }
}
