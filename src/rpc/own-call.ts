/**
 * A call that the proxy makes itself: on behalf of a client whose RPC it serves by another, or to see whether
 * the cluster answers.
 */
import { type Client, ITSELF } from './client.ts';
import type { Call, Cancellable } from './contract.ts';
import { type Metadata, NO_METADATA } from './metadata.ts';
import type { Method } from './method.ts';
import { OPEN_OUTLET } from './open-outlet.ts';
import { Code, RpcError } from './status.ts';

export class OwnCall implements Call, Cancellable {
  readonly method: Method;
  readonly client: Client;
  readonly authority = '';
  readonly metadata: Metadata;
  readonly deadline: number;
  cancelled = false;
  readonly outlet = OPEN_OUTLET;
  work: Cancellable | undefined;
  responseHeaders: Metadata = NO_METADATA;
  responseTrailers: Metadata = NO_METADATA;

  /**
   * @param deadline in milliseconds of `performance.now()`; the maker enforces it, by {@link inTime}
   * @param client on whose behalf the call is made
   */
  constructor(method: Method, metadata: Metadata, deadline: number, client = ITSELF) {
    this.method = method;
    this.client = client;
    this.metadata = metadata;
    this.deadline = deadline;
  }

  /**
   * Waits for the answer to the call, which is abandoned at its deadline.
   * @throws RpcError (rejects), DEADLINE_EXCEEDED then: it was not cancelled by who waits for it
   */
  async inTime<T>(answer: T | Promise<T>): Promise<T> {
    const ms = Math.max(0, Math.ceil(this.deadline - performance.now()));
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = !this.cancelled;
      this.cancel();
    }, ms);
    try {
      return await answer;
    } catch (error) {
      throw isLate ? new RpcError(Code.DEADLINE_EXCEEDED, noAnswerWithin(ms)) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Abandons the call and the work on it. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.work?.cancel();
    this.work = undefined;
  }
}

function noAnswerWithin(ms: number): string {
  return `etcd-connect-proxy: no answer of etcd within ${Math.round(ms / 100) / 10} s`;
}
