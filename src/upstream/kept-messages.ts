/**
 * The messages of a streaming call that may have to be sent again, because nothing says yet that etcd has acted on them.
 * Before there is a connection this is also the queue.
 */
import { UNANSWERED_BYTES } from '../rpc/contract.ts';

export class KeptMessages {
  readonly #each: boolean;
  #messages: Uint8Array[] | undefined = [];
  #bytes = 0;

  /** @param each every message has an answer of its own, as heartbeats do; otherwise the first answer is for all of them */
  constructor(each: boolean) {
    this.#each = each;
  }

  /** Whether what was sent so far can be sent again. */
  get complete(): boolean {
    return this.#messages !== undefined;
  }

  /** Whether there is more than is kept once it was sent. */
  get full(): boolean {
    return this.#messages === undefined || this.#bytes > UNANSWERED_BYTES;
  }

  /** The messages, the first one first. */
  get messages(): readonly Uint8Array[] {
    return this.#messages ?? [];
  }

  /** How many have no answer yet; of use where each has its own. */
  get unanswered(): number {
    return this.#messages?.length ?? 0;
  }

  /** A message is given. */
  add(message: Uint8Array): void {
    if (this.#messages === undefined) return;
    this.#messages.push(message);
    this.#bytes += message.length;
  }

  /** What was given was sent: too much is not kept any longer. */
  onSent(): void {
    if (this.full) this.#messages = undefined;
  }

  /** etcd has answered. */
  onAnswered(): void {
    if (!this.#each) this.#messages = undefined;
    else this.#bytes -= this.#messages?.shift()?.length ?? 0;
  }
}
