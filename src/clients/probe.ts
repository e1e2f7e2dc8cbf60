/**
 * A probe asks etcd in a client's name for its revision, and by the same read whether the client may read at all, for all
 * who want to know at a time: one read under way, one gathering behind it. A read answers only those who asked before it
 * was sent, so its revision is one that etcd itself could have started their watches at.
 */
import { type Header, headerOf } from '../etcd/header.ts';
import { rangeRequest } from '../etcd/range-request.ts';
import { isRefusal } from '../etcd/statuses.ts';
import { cancelReasonOf, saysCompacted, saysNoLeader } from '../etcd/words.ts';
import { RetryDelay } from '../rpc/retry-delay.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** The answer. */
export type ProbeResult =
  | {
      readonly kind: 'ok';
      readonly header: Header;
      /** Some revision that was asked about may be compacted. */
      readonly maybeCompacted: boolean;
      /** When it came, in milliseconds of `performance.now()`. */
      readonly at: number;
    }
  /** etcd refuses the client. @see cancelReasonOf */
  | { readonly kind: 'refused'; readonly reason: string }
  /** etcd cannot be reached, or not as the client wants it. */
  | { readonly kind: 'failed'; readonly error: RpcError };

/** Sends an encoded RangeRequest. */
export type Read = (request: Uint8Array) => Promise<Uint8Array>;

/**
 * An asker waits for the answer of a probe. Very many may wait at a time, so the probe keeps these objects
 * themselves.
 */
export interface Asker {
  /** A past revision of which it wants to know whether it is compacted; zero: none. */
  readonly askedStart: number;
  onProbed(result: ProbeResult): void;
}

/** How long an outage may last before who waits is told, in milliseconds. */
const PATIENCE_MS = 5000;

export class Probe {
  /** Is called when nobody waits any more. */
  onIdle: () => void = () => {};
  readonly #read: Read;
  readonly #key: string;
  readonly #rangeEnd: string;
  readonly #linearizable: boolean;
  #gathering: Asker[] = [];
  #busy = false;

  /**
   * Reads one key, or a range when the answer shall say whether that may be read. Both are latin1.
   * @param linearizable whether the revision shall be the cluster's; otherwise it is that of the member that answers
   */
  constructor(read: Read, key: string, rangeEnd: string, linearizable = false) {
    this.#read = read;
    this.#key = key;
    this.#rangeEnd = rangeEnd;
    this.#linearizable = linearizable;
  }

  /** Whether somebody waits. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Asks. The answer never comes within the call. */
  ask(asker: Asker): void {
    this.#gathering.push(asker);
    if (this.#busy) return;
    this.#busy = true;
    // What arrives in the same turn shares the read.
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#gathering.length > 0) {
      const askers = this.#gathering;
      this.#gathering = [];
      let least = Number.POSITIVE_INFINITY;
      for (const { askedStart } of askers) if (askedStart > 0 && askedStart < least) least = askedStart;
      const result = await this.#probe(least);
      for (const asker of askers) tell(asker, result);
    }
    this.#busy = false;
    this.onIdle();
  }

  async #probe(start: number): Promise<ProbeResult> {
    const delay = new RetryDelay();
    const giveUp = performance.now() + PATIENCE_MS;
    let revision = Number.isFinite(start) ? start : 0;
    let maybeCompacted = false;
    for (;;) {
      try {
        const header = headerOf(await this.#read(this.#request(revision)));
        return { kind: 'ok', header, maybeCompacted, at: performance.now() };
      } catch (thrown) {
        const error = RpcError.from(thrown);
        if (error.code === Code.OUT_OF_RANGE && revision !== 0) {
          // Compacted; or not there yet, on a member that is behind.
          maybeCompacted = saysCompacted(error);
          revision = 0;
          continue;
        }
        if (isRefusal(error)) return { kind: 'refused', reason: cancelReasonOf(error) };
        // Whatever the cause, the client shall come back: UNAVAILABLE.
        if (performance.now() > giveUp || saysNoLeader(error))
          return { kind: 'failed', error: new RpcError(Code.UNAVAILABLE, error.message, error.details) };
      }
      await new Promise((resolve) => setTimeout(resolve, delay.next()));
    }
  }

  /** A count of the keys: no key and no value travels. */
  #request(revision: number): Uint8Array {
    return rangeRequest({
      key: this.#key,
      rangeEnd: this.#rangeEnd,
      limit: 1,
      revision,
      serializable: !this.#linearizable,
      countOnly: true,
    });
  }
}

/** A mistake of ours with one answer is reported as an uncaught exception, and keeps nobody else from theirs. */
function tell(asker: Asker, result: ProbeResult): void {
  try {
    asker.onProbed(result);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
