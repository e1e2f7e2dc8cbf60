/** Which members' progress responses can be trusted, by their releases. A member that is not known cannot be. */

import { headerOf } from '../etcd/header.ts';
import { progressIsSafe, versionIn } from '../etcd/release.ts';
import { isOutage } from '../etcd/statuses.ts';
import { RetryDelay } from '../rpc/retry-delay.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** Stands for whichever member answers, where none says which it is. */
const ANY = '';

/** How often Status is asked while it fails for reasons that pass. */
const MAX_TRIES = 8;

/** Asks any member for its status; rejects when that fails. */
export type AskStatus = () => Promise<Uint8Array>;

/** What a member's Status says. */
interface Known {
  readonly member: string;
  readonly safe: boolean;
}

export class MemberReleases {
  readonly #ask: AskStatus;
  readonly #safe = new Map<string, boolean>();
  /** What is asked now, and who will be called. */
  #asking: { readonly over: Promise<void>; readonly waiting: Set<() => void> } | undefined;
  #epoch = 0;

  constructor(ask: AskStatus) {
    this.#ask = ask;
  }

  /** Whether the member's version is known and good. */
  isSafe(member: string): boolean {
    return this.#safe.get(member) === true;
  }

  /** Whether anything is known of the member. */
  knows(member: string): boolean {
    return this.#safe.has(member);
  }

  /** Whether all members that are known are good; undefined while none is known. */
  get verdict(): boolean | undefined {
    if (this.#safe.size === 0) return undefined;
    for (const safe of this.#safe.values()) if (!safe) return false;
    return true;
  }

  /** A stream to a member was lost: it may come back as another version. */
  forget(member: string): void {
    this.#epoch++;
    this.#safe.delete(member);
    this.#safe.delete(ANY);
    this.#asking = undefined;
  }

  /**
   * Finds out about a member that a feed is on now, and calls `done` when something is known, good or bad; once, however
   * often the same function is given meanwhile.
   */
  learn(member: string, done: () => void): void {
    if (this.#safe.has(member)) return;
    this.#asking ??= { over: this.#learn(member, this.#epoch), waiting: new Set() };
    const { over, waiting } = this.#asking;
    if (waiting.has(done)) return;
    waiting.add(done);
    void over.then(done);
  }

  /**
   * Finds out about the member that answers now, for as long as that is wanted, and calls `done`: maybe nothing is known then.
   * It is given the status of a call that could not be made at all.
   */
  learnAny(isWanted: () => boolean, done: (refusal: Status | undefined) => void): void {
    void this.#learnAny(isWanted, this.#epoch).then(done);
  }

  async #learnAny(isWanted: () => boolean, epoch: number): Promise<Status | undefined> {
    // While there is no etcd there is nothing to watch either; one that hangs for long is not known.
    const mayPass = (failure: RpcError, tries: number): boolean =>
      failure.code === Code.UNAVAILABLE || (isOutage(failure) && tries < MAX_TRIES);
    let passes = false;
    const answer = await this.#answer((failure, tries) => {
      passes = mayPass(failure, tries);
      return passes && failure.cause !== 'no-stream' && isWanted();
    });
    if (answer instanceof RpcError) {
      if (answer.cause === 'no-stream') return answer;
      if (!passes) this.#safe.set(ANY, false);
    } else if (epoch === this.#epoch) this.#safe.set(answer.member, answer.safe);
    return undefined;
  }

  async #learn(asked: string, epoch: number): Promise<void> {
    const answer = await this.#answer(
      (failure, tries) => isOutage(failure) && tries < MAX_TRIES && epoch === this.#epoch,
    );
    if (epoch !== this.#epoch) return;
    this.#asking = undefined;
    // Another member may have answered. Status may be refused to this client's token: then nothing is known, which counts
    // as not safe.
    if (!this.#safe.has(asked)) this.#safe.set(asked, false);
    const { member, safe } = answer instanceof RpcError ? { member: asked, safe: false } : answer;
    this.#safe.set(member, safe);
  }

  /** Asks until there is an answer, or a failure after which it may not be asked again. */
  async #answer(mayAskAgain: (failure: RpcError, tries: number) => boolean): Promise<Known | RpcError> {
    const delay = new RetryDelay();
    for (let tries = 1; ; tries++) {
      try {
        const status = await this.#ask();
        return { member: headerOf(status).member, safe: progressIsSafe(versionIn(status)) };
      } catch (error) {
        const failure = RpcError.from(error);
        if (!mayAskAgain(failure, tries)) return failure;
      }
      await new Promise((resolve) => setTimeout(resolve, delay.next()));
    }
  }
}
