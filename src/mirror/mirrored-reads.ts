/**
 * The layer of reads, or of transactions that only read, that mirrors answer.
 *
 * A linearizable read asks etcd for its revision, after it came and together with all others that wait, and is answered
 * when the mirror has applied that revision. A serializable one is answered at once, unless some client has been told
 * of a newer revision than the mirror has, etcd has not said lately that this client may read, or the client demands a
 * leader: then etcd is asked, which refuses such questions without one. Whatever does not work out in time goes to etcd.
 */

import { clientIdentityOf, demandingIdentityOf, demandsLeader } from '../clients/identity.ts';
import type { ProbeResult } from '../clients/probe.ts';
import type { Probes } from '../clients/probes.ts';
import type { SeenRevision } from '../clients/seen-revision.ts';
import { TxnQuery } from '../etcd/txn-request.ts';
import type { Store } from '../mvcc/store.ts';
import type { Call, UnaryUpstream } from '../rpc/contract.ts';
import { type FallBackLimits, FallBacks } from './fall-backs.ts';
import type { Mirrors } from './mirrors.ts';
import { type MirrorQuery, ReplyMaker } from './reply-maker.ts';
import type { FallBack } from './stats.ts';
import { type WaitingRead, type WaitingReadOwner, WaitingReads } from './waiting-read.ts';

/** Those that come because a mirror lags, many at once. */
const CAPPED: ReadonlySet<FallBack> = new Set(['timeout', 'failed', 'loading', 'line']);

/**
 * Longer requests are left to etcd: whoever asks etcd on behalf of a read keeps what it asks for until there is an answer, also
 * when its client has gone. Real ones are far smaller. Bytes.
 */
export const MAX_REQUEST_BYTES = 8192;

/** What the layer answers from, and where other reads go. */
export interface MirroredReadsOptions {
  /** Reads a request; `undefined`: no mirror can answer it. */
  readonly parse: (request: Uint8Array) => MirrorQuery | undefined;
  readonly mirrors: Mirrors;
  readonly probes: Probes;
  readonly seen: SeenRevision;
  readonly fallBacks: FallBackLimits;
}

export class MirroredReads implements UnaryUpstream, WaitingReadOwner {
  readonly #below: UnaryUpstream;
  readonly #parse: (request: Uint8Array) => MirrorQuery | undefined;
  readonly #mirrors: Mirrors;
  readonly #probes: Probes;
  readonly #seen: SeenRevision;
  readonly #fallBacks: FallBacks;
  readonly #waiting: WaitingReads;
  readonly #maker: ReplyMaker;

  constructor(below: UnaryUpstream, { parse, mirrors, probes, seen, fallBacks }: MirroredReadsOptions) {
    this.#below = below;
    this.#parse = parse;
    this.#mirrors = mirrors;
    this.#probes = probes;
    this.#seen = seen;
    this.#fallBacks = new FallBacks(below, fallBacks, mirrors.stats);
    this.#waiting = new WaitingReads(this, fallBacks.waitMs);
    const { stats } = mirrors;
    this.#maker = new ReplyMaker({
      seen,
      stats,
      forward: ({ request, call }, reason) => this.#pass(reason, request, call, CAPPED.has(reason)),
    });
  }

  unary(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const query = this.#parse(request);
    const mirror = query === undefined ? undefined : this.#mirrors.find(query);
    if (query === undefined || mirror === undefined) return this.#below.unary(request, call);
    if (request.length > MAX_REQUEST_BYTES) return this.#pass('large', request, call);
    const { store } = mirror;
    if (store === undefined) return this.#pass('loading', request, call);
    if (query.revision !== 0 && (query.revision < store.floor || query.revision > store.applied))
      return this.#pass('revision', request, call);
    const demands = demandsLeader(call.metadata);
    const identity = demands ? demandingIdentityOf(call.metadata) : clientIdentityOf(call.metadata);
    if (query instanceof TxnQuery && identity.hasToken) return this.#pass('token', request, call);
    const access = this.#probes.of(identity, query);
    const wait = (begin: (read: WaitingRead) => void) =>
      this.#waiting.add(mirror, query, request, call, begin);
    if (!mayLag(query)) return wait((read) => access.revision(read));
    if (demands || !access.allowed) return wait((read) => access.permission(read));
    if (!mirror.inSync) return this.#pass('resuming', request, call);
    if (store.applied < this.#seen.revision) return wait((read) => arrive(read, this.#seen.revision));
    const reply = this.#maker.reply({ mirror, query, request, call, permitted: store.applied });
    if (typeof reply === 'string') return this.#pass(reply, request, call);
    if (!(reply instanceof Promise)) this.#mirrors.stats.immediate++;
    return reply;
  }

  /** The mirror has come as far as the read needs. */
  answer(read: WaitingRead): void {
    const reply = this.#maker.reply(read);
    if (typeof reply === 'string') this.fallBack(read, reply);
    else read.resolve(reply);
  }

  fallBack({ request, call, resolve }: WaitingRead, reason: FallBack): void {
    resolve(this.#pass(reason, request, call, CAPPED.has(reason)));
  }

  /** etcd has said how far it is, or just that the client may read. */
  onProbed(read: WaitingRead, result: ProbeResult): void {
    if (mayLag(read.query)) {
      this.#permitted(read, result);
      return;
    }
    if (result.kind !== 'ok') {
      this.#waiting.fallBack(read, result.kind);
      return;
    }
    const { mirror, query } = read;
    const { header, maybeCompacted } = result;
    const { store } = mirror;
    if (store === undefined) this.#waiting.fallBack(read, 'loading');
    else if (header.cluster !== mirror.cluster) this.#waiting.fallBack(read, 'replaced');
    else if (read.store === store && header.revision < read.applied) {
      // A linearizable read cannot be behind what was known before it: the store was set back to a backup.
      mirror.distrust(header.revision);
      this.#waiting.fallBack(read, 'replaced');
    } else if (maybeCompacted && query.revision !== 0) this.#waiting.fallBack(read, 'revision');
    else {
      read.permitted = header.revision;
      this.#when(read, store, header.revision);
    }
  }

  /** etcd has said whether the client may read. What it says too late may not be so any more. */
  #permitted(read: WaitingRead, result: ProbeResult): void {
    const { store, inSync } = read.mirror;
    if (result.kind !== 'ok') this.#waiting.fallBack(read, result.kind);
    else if (store === undefined) this.#waiting.fallBack(read, 'loading');
    else if (!inSync) this.#waiting.fallBack(read, 'resuming');
    else if (!this.#mirrors.permissions.counts(read.since, performance.now()))
      this.#waiting.fallBack(read, 'timeout');
    else this.#when(read, store, this.#seen.revision);
  }

  /** Answers when the mirror has applied a revision. */
  #when(read: WaitingRead, store: Store, revision: number): void {
    if (store.applied >= revision) this.#waiting.answer(read);
    else {
      this.#mirrors.stats.waits++;
      arrive(read, revision);
    }
  }

  #pass(reason: FallBack, request: Uint8Array, call: Call, capped = false): Uint8Array | Promise<Uint8Array> {
    this.#mirrors.stats.countFallBack(reason);
    return capped ? this.#fallBacks.unary(request, call) : this.#below.unary(request, call);
  }
}

/** The read waits for a revision that etcd had when it let the client read. */
function arrive(read: WaitingRead, revision: number): void {
  read.permitted = revision;
  read.mirror.arrivals.wait(revision, read);
}

/** Whether a read may be behind etcd. For a past revision etcd is asked in any case, since it may be compacted. */
function mayLag({ serializable, revision }: MirrorQuery): boolean {
  return serializable && revision === 0;
}
