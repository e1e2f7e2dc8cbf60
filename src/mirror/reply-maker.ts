/**
 * Makes the replies to reads that a mirror may answer now: at once where that is little work and their client's connection
 * has room, otherwise as {@link LongReads}. What it needs too long for, or cannot know, is left to etcd.
 */

import type { SeenRevision } from '../clients/seen-revision.ts';
import { latin1 } from '../etcd/latin1.ts';
import type { RangeQuery } from '../etcd/range-query.ts';
import { TxnQuery } from '../etcd/txn-request.ts';
import { isPlain, type NoAnswer, plainReply, rangeReply, type StoreRead } from '../mvcc/range-reply.ts';
import type { Store } from '../mvcc/store.ts';
import { txnReply } from '../mvcc/txn-reply.ts';
import { type Interruptible, SLICE_VISITS, Work } from '../mvcc/work.ts';
import { type Call, LARGE_REPLY_BYTES } from '../rpc/contract.ts';
import { HotReplies } from './hot-replies.ts';
import { LongReads } from './long-reads.ts';
import type { Mirror } from './mirror.ts';
import type { FallBack, MirrorStats } from './stats.ts';

/** Visits for all reads that are answered at once in one round of the event loop. Many may come with one chunk. */
const ROUND_VISITS = 4 * SLICE_VISITS;

/** What a client asks. */
export type MirrorQuery = RangeQuery | TxnQuery;

/** A read that may be answered now. */
export interface Answerable {
  readonly mirror: Mirror;
  readonly query: MirrorQuery;
  readonly request: Uint8Array;
  readonly call: Call;
  /** The revision at which etcd let the client read: what has changed since may not be for it. */
  readonly permitted: number;
}

/** The state that a read is answered from. */
interface Moment {
  readonly revision: number;
  /** The field `header`, latin1. */
  readonly header: string;
}

/** What replies depend on, and where reads go that it cannot answer. */
export interface ReplyMakerOptions {
  readonly seen: SeenRevision;
  readonly stats: MirrorStats;
  /** Leaves a read to etcd. */
  readonly forward: (read: Answerable, reason: FallBack) => Uint8Array | Promise<Uint8Array>;
}

export class ReplyMaker {
  readonly #options: ReplyMakerOptions;
  readonly #hot = new HotReplies();
  readonly #long = new LongReads();
  #roundVisits = 0;

  constructor(options: ReplyMakerOptions) {
    this.#options = options;
  }

  /** The reply, or why there is none. */
  reply(read: Answerable): Uint8Array | Promise<Uint8Array> | FallBack {
    const { store } = read.mirror;
    if (store === undefined) return 'loading';
    if (this.#roundVisits >= ROUND_VISITS) return this.#later(read, store);
    const { query, call } = read;
    const work = new Work();
    const moment = this.#momentOf(read, store);
    if (moment === undefined) return 'revision';
    const reading = { store, revision: moment.revision, work };
    let reply: Uint8Array | NoAnswer | undefined;
    if (query instanceof TxnQuery || !isPlain(query))
      reply = atOnce(this.#steps(read, reading, moment.header), work, call);
    else reply = plainReply(reading, query, moment.header, call.outlet);
    this.#spend(work.visits);
    if (reply === undefined) return this.#later(read, store);
    return typeof reply === 'string' ? reply : this.#made(reply);
  }

  #spend(visits: number): void {
    if (this.#roundVisits === 0)
      setImmediate(() => {
        this.#roundVisits = 0;
      });
    this.#roundVisits += visits;
  }

  /** The read waits among the long ones. What is written meanwhile may not be for its client. */
  #later(read: Answerable, store: Store): Uint8Array | Promise<Uint8Array> {
    const { mirror, query, request, call } = read;
    const permitted = Math.min(read.permitted, store.applied);
    const then = { mirror, query, request, call, permitted };
    return this.#long.add({
      call,
      begin: (work) => (mirror.store === store ? this.#begin(then, store, work) : 'loading'),
      isCurrent: () => mirror.store === store,
      fallBack: (reason) => this.#options.forward(read, reason),
      onMade: (reply) => this.#made(reply),
    });
  }

  #begin(read: Answerable, store: Store, work: Work): Interruptible<Uint8Array | NoAnswer> | 'revision' {
    const moment = this.#momentOf(read, store);
    if (moment === undefined) return 'revision';
    return this.#steps(read, { store, revision: moment.revision, work }, moment.header);
  }

  /** The revision that a read is answered at, and the header that says so; `undefined`: it is not known any more. */
  #momentOf({ mirror, query, permitted }: Answerable, store: Store): Moment | undefined {
    const past = permitted < store.applied && store.changedSince(query.start, query.end, permitted);
    const now = past ? permitted : store.applied;
    const revision = query.revision === 0 ? now : query.revision;
    if (revision < store.floor || revision > store.applied) return undefined;
    this.#options.seen.raise(now);
    return { revision, header: mirror.header(now) };
  }

  #steps(
    { query, request }: Answerable,
    reading: StoreRead,
    header: string,
  ): Interruptible<Uint8Array | NoAnswer> {
    if (query instanceof TxnQuery) return txnReply(reading, query, header);
    if (isPlain(query) || query.revision !== 0) return rangeReply(reading, query, header);
    return this.#hotReply(request, query, reading, header);
  }

  /** A reply that another client had lately, or one that others may have soon. */
  *#hotReply(
    request: Uint8Array,
    query: RangeQuery,
    reading: StoreRead,
    header: string,
  ): Interruptible<Uint8Array | NoAnswer> {
    const { store, revision } = reading;
    const key = latin1(request);
    const hot = this.#hot.get(key, store, query, revision, header);
    if (hot !== undefined) {
      if (hot.length > LARGE_REPLY_BYTES) yield;
      return hot;
    }
    const reply = yield* rangeReply(reading, query, header);
    if (typeof reply !== 'string') this.#hot.set(key, store, revision, reply, header);
    return reply;
  }

  #made(reply: Uint8Array): Uint8Array {
    this.#options.stats.hits++;
    return reply;
  }
}

/** What comes of a read in one slice; `undefined`: it takes longer, or there is no room. */
function atOnce(
  steps: Interruptible<Uint8Array | NoAnswer>,
  work: Work,
  call: Call,
): Uint8Array | NoAnswer | undefined {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (work.due || !call.outlet.room) return undefined;
  }
}
