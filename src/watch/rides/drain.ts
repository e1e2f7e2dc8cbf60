/**
 * Moves the rides of a stream to streams of watches that are in step, all of them together: when etcd has answered a
 * question, so that all have caught up, each gets a second watch of what comes next; when all of those are there, one more
 * answer says for all that nothing lies between.
 */
import type { WatchResponse } from '../../etcd/watch-response.ts';
import type { MoveOwner, SeatOwner, SeatSource } from './seat.ts';
import type { SharedStream } from './shared-stream.ts';

export class Drain implements MoveOwner {
  readonly #stream: SharedStream;
  readonly #to: SeatSource;
  /** Those whose second watch is there. */
  readonly #ready = new Set<SeatOwner>();
  /** Second watches that etcd has not answered for. */
  #pending = 0;

  constructor(stream: SharedStream, to: SeatSource) {
    this.#stream = stream;
    this.#to = to;
  }

  get wantsAnswer(): boolean {
    return this.#pending === 0 && (this.#ready.size > 0 || this.#wanting().next().done === false);
  }

  /** etcd says how far the stream has come. */
  onAnswer(told: WatchResponse): void {
    for (const owner of [...this.#ready]) if (owner.arrive(told)) this.#ready.delete(owner);
    if (this.#ready.size > 0) this.#stream.questions.want();
    if (this.#pending > 0 || this.#ready.size > 0) return;
    const all = [...this.#wanting()];
    this.#pending = all.length;
    for (const owner of all) owner.moveToLive(this.#to, this);
  }

  onReady(owner: SeatOwner): void {
    this.#ready.add(owner);
    this.#settled();
  }

  onGivenUp(owner: SeatOwner): void {
    if (!this.#ready.delete(owner)) this.#settled();
  }

  #settled(): void {
    this.#pending--;
    if (this.#pending === 0 && this.#ready.size > 0) this.#stream.questions.want();
  }

  *#wanting(): Generator<SeatOwner> {
    for (const { owner } of this.#stream.seats) if (owner.wantsToMove) yield owner;
  }
}
