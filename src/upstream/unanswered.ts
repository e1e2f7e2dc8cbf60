/**
 * The calls of one connection whose answers are due soon, the one that was asked first at the front. A list of links in
 * the calls themselves: each call to etcd passes through here, so it costs no object and no search.
 */

/** Is told when its endpoint is left for another one. */
export interface Leaver {
  /** @param route the connection that is left, which the call may not be on any more */
  onLeft(route: object): void;
}

/** A call of which an answer is due soon. The links belong to {@link Unanswered}. */
export interface Asked extends Leaver {
  /** When it was asked, in milliseconds of `performance.now()`. */
  askedAt: number;
  before: Asked | undefined;
  after: Asked | undefined;
  listed: boolean;
}

/** A member that serves begins with a call within so long. Milliseconds. */
const BEGUN_MS = 100;

/** The list. */
export class Unanswered {
  #first: Asked | undefined;
  #last: Asked | undefined;
  /** When the earliest call was asked that its client gave up; `Infinity` once a later call was answered. */
  #givenUp = Number.POSITIVE_INFINITY;
  #takenIn = Number.NEGATIVE_INFINITY;

  /** A call was sent: {@link Asked.askedAt} is now. */
  add(call: Asked): void {
    call.listed = true;
    call.before = this.#last;
    call.after = undefined;
    if (this.#last === undefined) this.#first = call;
    else this.#last.after = call;
    this.#last = call;
  }

  /** etcd has answered. */
  onAnswered(call: Asked): void {
    if (call.askedAt >= this.#givenUp) this.#givenUp = Number.POSITIVE_INFINITY;
    this.onTakenIn(call.askedAt);
    this.#remove(call);
  }

  /**
   * Its client gave the call up. It still counts: with short deadlines nothing else shows that an endpoint is silent.
   */
  onGivenUp(call: Asked): void {
    if (call.listed) this.#givenUp = Math.min(this.#givenUp, call.askedAt);
    this.#remove(call);
  }

  /** etcd has answered what was asked at a moment. */
  onTakenIn(askedAt: number): void {
    if (askedAt > this.#takenIn) this.#takenIn = askedAt;
  }

  /** When the latest call was asked that etcd has answered, in milliseconds of `performance.now()`. */
  get takenIn(): number {
    return this.#takenIn;
  }

  /** Whether etcd has certainly begun with what was asked at a moment: it has answered what was asked well after that. */
  hasBegun(askedAt: number): boolean {
    return askedAt + BEGUN_MS < this.#takenIn;
  }

  /** Since when there has been no answer to a call, in milliseconds of `performance.now()`; `Infinity` where nothing is due. */
  get since(): number {
    return Math.min(this.#givenUp, this.#first?.askedAt ?? Number.POSITIVE_INFINITY);
  }

  /** The endpoint is known to serve: what was given up says nothing. */
  forgive(): void {
    this.#givenUp = Number.POSITIVE_INFINITY;
  }

  /** The calls of now. */
  all(): Asked[] {
    const calls: Asked[] = [];
    for (let call = this.#first; call !== undefined; call = call.after) calls.push(call);
    return calls;
  }

  #remove(call: Asked): void {
    if (!call.listed) return;
    call.listed = false;
    if (call.before === undefined) this.#first = call.after;
    else call.before.after = call.after;
    if (call.after === undefined) this.#last = call.before;
    else call.after.before = call.before;
    call.before = undefined;
    call.after = undefined;
  }
}
