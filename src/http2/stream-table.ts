/**
 * The streams of one connection by identifier, and what must be known about those that are no more
 * (RFC 9113 section 5.1.1).
 */
import { IdTable } from './id-table.ts';
import type { Stream } from './stream.ts';

/** How a stream that is not in the table came to its end. */
export const Past = {
  /** Not used yet. */
  IDLE: 0,
  /** Skipped by its opener: closed without ever being open. */
  SKIPPED: 1,
  /** Both sides ended it, not long ago. */
  ENDED: 2,
  /** The peer reset it, not long ago. */
  RESET_BY_PEER: 3,
  /** We reset it, or it is long ago: frames may still be under way and are ignored. */
  IGNORED: 4,
} as const;

/** Streams that ended lately are remembered, to tell a peer's mistakes from frames that crossed a reset. */
const RECENT = 64;
const MAX_GAPS = 32;

/** Open streams, and the identifiers used so far. */
export class StreamTable {
  /** Highest identifier the peer has opened a stream with. */
  lastPeerId = 0;
  /** Identifier of the next stream we open. */
  nextId = 1;
  /** Streams opened so far, by either side. */
  opened = 0;
  /** The open streams that nobody waits for; few connections have any. */
  private asides: Set<Stream> | undefined;
  private readonly streams = new IdTable<Stream>();
  private readonly gaps: number[] = [];
  /** Packed as 8 * id + Past; up to {@link RECENT} of them. */
  private readonly recent: number[] = [];
  private recentAt = 0;

  /** Number of open streams of all kinds. */
  get size(): number {
    return this.streams.size;
  }

  /** Number of open streams that somebody waits for. */
  get awaited(): number {
    return this.streams.size - (this.asides?.size ?? 0);
  }

  get(id: number): Stream | undefined {
    return this.streams.get(id);
  }

  /** The open streams, in their order; one that is closed meanwhile is passed over. */
  values(): Iterable<Stream> {
    return this.streams.values();
  }

  /** The open streams, in no order; none may be opened or closed meanwhile. */
  each(): Iterable<Stream> {
    return this.streams.each();
  }

  /** Notes an identifier the peer used, even if its stream is refused. */
  usePeerId(id: number): void {
    const expected = this.lastPeerId === 0 ? 1 : this.lastPeerId + 2;
    if (id > expected && this.gaps.length < 2 * MAX_GAPS) this.gaps.push(expected, id);
    this.lastPeerId = id;
  }

  /** Adds a stream that was just opened. */
  add(stream: Stream): void {
    this.opened++;
    this.streams.add(stream);
  }

  /** Nobody waits for an open stream. */
  setAside(stream: Stream): void {
    this.asides ??= new Set();
    this.asides.add(stream);
  }

  /** Removes a stream that is closed; `local` says that we reset it. */
  remove(stream: Stream, local: boolean): void {
    this.streams.delete(stream.id);
    this.asides?.delete(stream);
    if (local) return;
    this.recent[this.recentAt] = 8 * stream.id + (stream.endStreamReceived ? Past.ENDED : Past.RESET_BY_PEER);
    this.recentAt = (this.recentAt + 1) % RECENT;
  }

  /** What became of a stream that is not in the table. */
  past(id: number): number {
    if (id % 2 === 0 || id > Math.max(this.lastPeerId, this.nextId - 2)) return Past.IDLE;
    for (const entry of this.recent) if (Math.floor(entry / 8) === id) return entry % 8;
    for (let i = 0; i < this.gaps.length; i += 2) {
      if (id >= (this.gaps[i] as number) && id < (this.gaps[i + 1] as number)) return Past.SKIPPED;
    }
    return Past.IGNORED;
  }
}
