/**
 * Translates whole messages between a namespace and etcd: at once where that is quick, else in turns with others. A reply
 * that many get is translated once.
 */
import type { KeyFields } from '../etcd/key-fields.ts';
import { FIELDS_PER_TURN, RoundRobin } from '../rpc/round-robin.ts';
import { KeyRewriting } from './key-rewriting.ts';
import type { LeasesWithin } from './leases-within.ts';
import type { Prefix } from './prefix.ts';
import { SharedReplies, type Translated } from './shared-replies.ts';
import type { NamespaceStats } from './stats.ts';

/** Smaller messages are translated before it is found out whether they were. Bytes. */
export const SHARED_FROM = 4096;

export class Translator {
  readonly prefix: Prefix;
  readonly turns = new RoundRobin<Uint8Array>();
  readonly #leases: LeasesWithin | undefined;
  readonly #shared: SharedReplies;
  readonly #stats: NamespaceStats;
  /** For one message after the other. */
  #rewriting: KeyRewriting;

  /** @param leases that requests may name; without them any */
  constructor(prefix: Prefix, stats: NamespaceStats, leases?: LeasesWithin) {
    this.prefix = prefix;
    this.#leases = leases;
    this.#stats = stats;
    this.#shared = new SharedReplies(stats);
    this.#rewriting = new KeyRewriting(prefix, leases);
  }

  /** A request as etcd shall get it. @throws RpcError */
  request(message: Uint8Array, fields: KeyFields): Translated {
    return this.#translate(message, fields, true);
  }

  /**
   * A reply as its client shall get it.
   * @param shared others may get it as well: the very same bytes are translated once
   * @throws RpcError
   */
  reply(message: Uint8Array, fields: KeyFields, shared: boolean): Translated {
    if (!shared) return this.#translate(message, fields, false);
    const known = this.#shared.get(message);
    if (known !== undefined) return known;
    return this.#shared.add(message, this.#translate(message, fields, false));
  }

  #translate(message: Uint8Array, fields: KeyFields, isRequest: boolean): Translated {
    const rewriting = this.#rewriting;
    rewriting.begin(message, fields, isRequest);
    const done = rewriting.advance(FIELDS_PER_TURN);
    if (done !== undefined) return done;
    this.#rewriting = new KeyRewriting(this.prefix, this.#leases);
    this.#stats.inTurns++;
    return this.turns.finish(rewriting);
  }
}
