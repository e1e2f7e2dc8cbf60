/**
 * Replies of several keys that were put together lately. One is used again while nothing in its range has changed;
 * when the store has moved on elsewhere, only its header is new. Where the range changes all the time, it still serves
 * all reads at its very revision: those whose question etcd answered with one answer.
 */
import type { RangeQuery } from '../etcd/range-query.ts';
import type { Store } from '../mvcc/store.ts';

/** Memory of all of them together, in bytes. */
export const HOT_REPLY_BYTES = 32 << 20;
/** Smaller replies are put together as fast as they are found. Bytes. */
const MIN_BYTES = 2048;
/** Larger ones would push out all others. Bytes. */
const MAX_BYTES = 4 << 20;
/** What one costs beside its bytes and the request. Bytes. */
const OBJECT_BYTES = 300;

interface HotReply {
  /** With the header it was made or sent with last. */
  reply: Buffer;
  header: string;
  /** The revision that the keys were read at, or found unchanged at. */
  revision: number;
  /** {@link Store.serial}: another store knows nothing of what has changed in this one. */
  readonly store: number;
}

/** The hot replies of all mirrors. */
export class HotReplies {
  bytes = 0;
  /** Of one store each, by the bytes of the request; the one used last comes last. */
  readonly #replies = new Map<string, HotReply>();

  /** The reply to a request for the store's state at a revision, if it is known. */
  get(
    request: string,
    store: Store,
    query: RangeQuery,
    revision: number,
    header: string,
  ): Buffer | undefined {
    const hot = this.#replies.get(request);
    if (hot === undefined) return undefined;
    this.#replies.delete(request);
    if (hot.store !== store.serial || !isTrueAt(revision, hot, store, query)) {
      this.bytes -= costOf(request, hot);
      return undefined;
    }
    hot.revision = revision;
    if (hot.header !== header) {
      this.bytes -= costOf(request, hot);
      hot.reply = Buffer.concat([Buffer.from(header, 'latin1'), hot.reply.subarray(hot.header.length)]);
      hot.header = header;
      this.bytes += costOf(request, hot);
    }
    this.#replies.set(request, hot);
    return hot.reply;
  }

  /** Keeps a reply that {@link get} did not know; it must not change any more. Another read may have made one meanwhile. */
  set(request: string, store: Store, revision: number, reply: Buffer, header: string): void {
    if (reply.length < MIN_BYTES || reply.length > MAX_BYTES) return;
    const before = this.#replies.get(request);
    if (before !== undefined) {
      this.#replies.delete(request);
      this.bytes -= costOf(request, before);
    }
    const hot = { reply, header, revision, store: store.serial };
    this.#replies.set(request, hot);
    this.bytes += costOf(request, hot);
    for (const [oldest, { reply: old }] of this.#replies) {
      if (this.bytes <= HOT_REPLY_BYTES) break;
      this.#replies.delete(oldest);
      this.bytes -= OBJECT_BYTES + oldest.length + old.length;
    }
  }
}

/** Whether a reply of this store is the one at a revision, too. */
function isTrueAt(revision: number, hot: HotReply, store: Store, { start, end }: RangeQuery): boolean {
  if (hot.revision === revision) return true;
  return hot.revision < revision && !store.changedSince(start, end, hot.revision);
}

function costOf(request: string, { reply }: HotReply): number {
  return OBJECT_BYTES + request.length + reply.length;
}
