/**
 * A remembered answer: the bytes of etcd's reply, and a revision at which they are the truth. As long as no event of
 * the range comes, they are the truth at every later revision too, up to the one that the feed has applied.
 */

import { type Header, headerField, withRevision } from '../etcd/header.ts';
import type { Cover } from './cover.ts';
import type { ParsedReply } from './parsed-reply.ts';

/** What an entry costs beside its key and its reply: object, buffer, places in a map and a set. Measured, in bytes. */
const ENTRY_BYTES = 720;

export class CacheEntry {
  /** Identity and bytes of the request. */
  readonly key: string;
  readonly cover: Cover<CacheEntry>;
  /** What it stands for in memory. */
  readonly bytes: number;
  /** When it was used last, and as of when it stands in line to go; milliseconds of `performance.now()`. */
  usedAt: number;
  queuedAt: number;
  /** The reply is the state of the range at this revision, and says so. */
  revision: number;
  #header: Header;
  #message: Buffer;
  #body: number;

  constructor(key: string, cover: Cover<CacheEntry>, reply: ParsedReply, now: number) {
    this.key = key;
    this.cover = cover;
    this.usedAt = now;
    this.queuedAt = now;
    this.revision = reply.header.revision;
    this.#header = reply.header;
    // A copy: the reply may be a small part of a large buffer, and only the copy is what the cache holds.
    this.#message = Buffer.allocUnsafeSlow(reply.message.length);
    this.#message.set(reply.message);
    this.#body = reply.body;
    this.bytes = key.length + reply.message.length + ENTRY_BYTES;
  }

  /**
   * The reply. It is not changed later.
   * @param revision what its header has to name at least; the range must not have changed until then
   */
  at(revision: number): Uint8Array {
    if (revision > this.revision) this.#stamp(revision);
    return this.#message;
  }

  #stamp(revision: number): void {
    this.#header = withRevision(this.#header, revision);
    const head = headerField(this.#header.bytes);
    const body = this.#message.subarray(this.#body);
    const message = Buffer.allocUnsafeSlow(head.length + body.length);
    message.set(head);
    message.set(body, head.length);
    this.#message = message;
    this.#body = head.length;
    this.revision = revision;
  }
}
