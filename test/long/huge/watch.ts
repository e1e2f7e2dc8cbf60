/** One watch of a huge test on a stream of its own: everything must come whole, once, and in order. */
import { WatchCreateRequest_FilterType as Filter } from '#gen/etcdserverpb/watch_pb.js';
import { b, type Create } from '../../support/watch-client.ts';
import { type LoadConnection, type LoadCounts, LoadStream } from '../../support/watch-load.ts';
import { type EventListener, readResponse } from './response.ts';
import { STEPS, type Story, type Wish } from './story.ts';

/** The request that creates it. @param start zero: from now on */
function createOf(story: Story, wish: Wish, start: number): Create {
  const [from, to] = story.range(wish);
  return {
    key: b(story.key(from)),
    rangeEnd: b(story.key(to)),
    startRevision: BigInt(start),
    filters: [...(wish.noPut ? [Filter.NOPUT] : []), ...(wish.noDelete ? [Filter.NODELETE] : [])],
    prevKv: wish.prevKv === true,
    fragment: wish.fragment === true,
  };
}

export class HugeWatch extends LoadStream implements EventListener {
  readonly wish: Wish;
  /** What is wrong with it, if anything. */
  fault: string | undefined;
  /** The revision of each step that it has been told of. */
  readonly revisions: number[] = new Array<number>(STEPS).fill(0);
  readonly #story: Story;
  readonly #expected: Uint32Array;
  #next = 0;
  /** Responses that were told to go on in the next one. */
  fragments = 0;

  constructor(connection: LoadConnection, counts: LoadCounts, story: Story, wish: Wish, start = 0) {
    super(connection, counts, [createOf(story, wish, start)]);
    this.wish = wish;
    this.#story = story;
    this.#expected = story.eventsFor(wish);
  }

  /** Whether all has come, or something is wrong. */
  get done(): boolean {
    return this.fault !== undefined || this.ending !== undefined || this.#next === this.#expected.length;
  }

  /** How far it is, in words. */
  get progress(): string {
    return this.fault ?? `${this.#next} of ${this.#expected.length} events`;
  }

  override onMessage(message: Uint8Array): void {
    const from = this.#next;
    const { fragment, canceled } = readResponse(message, this);
    if (canceled) this.#wrong('cancelled');
    if (fragment) this.fragments++;
    if (fragment && this.wish.fragment !== true) this.#wrong('a fragment, which it did not ask for');
    if (!fragment && this.#next > from && this.#goesOn()) this.#wrong('a revision in two responses');
    super.onMessage(message);
  }

  onEvent(isDelete: boolean, number: number, revision: number, previous: number): void {
    const wrong = this.#judged(isDelete, number, revision, previous);
    if (wrong === undefined) this.#next++;
    else this.#wrong(wrong);
  }

  /** What is wrong with the next event, if anything. */
  #judged(isDelete: boolean, number: number, revision: number, previous: number): string | undefined {
    const at = this.#expected[this.#next] as number | undefined;
    const { numbers, deletes, replaces, steps } = this.#story;
    if (at === undefined) return `more than happened: ${number}`;
    if (number !== numbers[at] || isDelete !== deletes[at])
      return `${number} ${isDelete} instead of ${numbers[at]} ${deletes[at]} at ${this.#next}`;
    const before = this.wish.prevKv === true && replaces[at] === true ? number : -1;
    if (previous !== before) return `${previous} before ${number} instead of ${before}`;
    const step = steps[at] as number;
    if (this.revisions[step] === 0) this.revisions[step] = revision;
    return this.revisions[step] === revision ? undefined : `${number} is of revision ${revision}`;
  }

  /** The revision of the last event has another one that is to come. */
  #goesOn(): boolean {
    const { steps } = this.#story;
    const [last, next] = [this.#expected[this.#next - 1], this.#expected[this.#next]];
    return last !== undefined && next !== undefined && steps[last] === steps[next];
  }

  #wrong(what: string): void {
    this.fault ??= what;
  }
}
