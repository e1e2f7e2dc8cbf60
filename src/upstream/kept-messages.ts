/**
 * The messages of a streaming call that may have to be sent again, because nothing says yet that etcd has acted on them.
 * Before there is a connection this is also the queue.
 */
import { type Keeper, UNANSWERED_BYTES } from '../rpc/contract.ts';

/** What is kept, whoever keeps it. */
export interface Kept {
  /** Whether what was sent so far can be sent again. */
  readonly complete: boolean;
  /** Whether there is more than is kept once it was sent. */
  readonly full: boolean;
  /** How many have no answer yet; of use where each has its own. */
  readonly unanswered: number;
  /** The messages that a stream which begins has to send, the first one first. */
  take(): readonly Uint8Array[];
  /** A message is given. */
  add(message: Uint8Array): void;
  /** What was given was sent: too much is not kept any longer. */
  onSent(): void;
  /** etcd has answered. */
  onAnswered(): void;
}

export class KeptMessages implements Kept {
  readonly #each: boolean;
  #messages: Uint8Array[] | undefined = [];
  #bytes = 0;

  /** @param each every message has an answer of its own, as heartbeats do; otherwise the first answer is for all of them */
  constructor(each: boolean) {
    this.#each = each;
  }

  get complete(): boolean {
    return this.#messages !== undefined;
  }

  get full(): boolean {
    return this.#messages === undefined || this.#bytes > UNANSWERED_BYTES;
  }

  take(): readonly Uint8Array[] {
    return this.#messages ?? [];
  }

  get unanswered(): number {
    return this.#messages?.length ?? 0;
  }

  add(message: Uint8Array): void {
    if (this.#messages === undefined) return;
    this.#messages.push(message);
    this.#bytes += message.length;
  }

  onSent(): void {
    if (this.full) this.#messages = undefined;
  }

  onAnswered(): void {
    if (!this.#each) this.#messages = undefined;
    else this.#bytes -= this.#messages?.shift()?.length ?? 0;
  }
}

/** Messages that the owner of the call keeps; here they are only counted. */
export class OwnersMessages implements Kept {
  readonly complete = true;
  readonly full = false;
  unanswered = 0;
  readonly #owner: Keeper;

  constructor(owner: Keeper) {
    this.#owner = owner;
  }

  take(): readonly Uint8Array[] {
    const messages = this.#owner.unanswered();
    this.unanswered = messages.length;
    return messages;
  }

  add(): void {
    this.unanswered++;
  }

  onSent(): void {
    // The owner keeps few.
  }

  onAnswered(): void {
    this.unanswered--;
  }
}
