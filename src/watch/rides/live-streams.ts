/**
 * The streams of watches that are in step with etcd: each is of what comes next, so that one question tells of all. A watch
 * takes a seat where few wait; where there are more streams than their watches need, the emptiest is drained.
 */
import type { OwnWatch } from '../../etcd/watch-request.ts';
import { FULL, PROBATION_MS } from './company.ts';
import type { Seat, SeatOwner } from './seat.ts';
import type { SharedStream } from './shared-stream.ts';
import { StreamGroup } from './stream-group.ts';

/** Streams with room of which each has a long line; a newcomer starts one more only where there are fewer. */
const SPARE = 4;
/** Watches that a stream has had when it is given up: etcd keeps something of each. */
const MOST_USED = 20 * FULL;
/** How often etcd is asked how far it is: after the stream is lost its watches go on from there. */
const BEAT_MS = 5000;

export class LiveStreams extends StreamGroup {
  /** Those that take newcomers. */
  readonly #open = new Set<SharedStream>();
  #renewedAt = Number.NEGATIVE_INFINITY;

  take(watch: OwnWatch, owner: SeatOwner, fresh = false, company = FULL): Seat {
    const stream = this.#pick(company);
    const seat = stream.take(watch, owner, fresh);
    if (stream.size >= stream.limit) this.#open.delete(stream);
    if (stream.used >= MOST_USED) this.#retire(stream);
    return seat;
  }

  mayAsk(): boolean {
    return true;
  }

  onAllCreated(): void {
    // Each answer counts for the watches that were created before.
  }

  onBeat(stream: SharedStream): void {
    stream.refresh();
    if (stream.limit < FULL && performance.now() - stream.openedAt > PROBATION_MS) this.#retire(stream);
    this.#consolidate();
  }

  /** Those that are there take nobody any more, and are drained when there are too many: etcd may take their token no more. */
  renew(): void {
    this.#renewedAt = performance.now();
    this.#open.clear();
  }

  protected onRoom(stream: SharedStream): void {
    if (!this.drains.has(stream) && stream.openedAt >= this.#renewedAt) this.#open.add(stream);
  }

  protected forget(stream: SharedStream): void {
    this.#open.delete(stream);
  }

  #pick(company: number): SharedStream {
    let best: SharedStream | undefined;
    let count = 0;
    for (const stream of this.#open) {
      if (stream.limit !== company) continue;
      if (!stream.line.isFull) return stream;
      if (best === undefined || stream.line.length < best.line.length) best = stream;
      count++;
    }
    if (best !== undefined && count >= SPARE) return best;
    const stream = this.start(company, BEAT_MS);
    this.#open.add(stream);
    return stream;
  }

  #retire(stream: SharedStream): void {
    if (this.drains.has(stream)) return;
    this.#open.delete(stream);
    this.drain(stream, this);
  }

  /** Drains the emptiest stream where the others have room for its watches, one after the other. */
  #consolidate(): void {
    if (this.drains.size > 0) return;
    let seats = 0;
    let emptiest: SharedStream | undefined;
    for (const stream of this.streams) {
      seats += stream.size;
      if (stream.limit === FULL && stream.size < (emptiest?.size ?? FULL / 2)) emptiest = stream;
    }
    if (emptiest !== undefined && this.streams.size > seats / FULL + SPARE) this.#retire(emptiest);
  }
}
