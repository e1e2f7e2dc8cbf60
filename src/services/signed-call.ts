/** A call that the proxy makes as a user for a client, and the user. */
import { isOutage } from '../etcd/statuses.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** A user that clients are. */
export interface SigningUser {
  /** Metadata with the user's token, if there is one. */
  sign(metadata: Metadata): Metadata;
  /** Gets another token. @returns whether there is one @throws RpcError where none can be had */
  renew(signed: Metadata): Promise<boolean>;
  /** Sees to it that the token is good. Never rejects. @returns whether etcd could be asked */
  confirm(): Promise<boolean>;
  /** The same by a question that is asked from now on, whatever is being asked already. */
  confirmAnew(): Promise<boolean>;
}

/**
 * Gets the user another token. @returns whether there is one: a user that etcd does not let sign in keeps the token that it had
 * @throws RpcError UNAVAILABLE in an outage, which passes
 */
export async function hasAnother(user: SigningUser, signed: Metadata): Promise<boolean> {
  try {
    return await user.renew(signed);
  } catch (thrown) {
    const error = RpcError.from(thrown);
    if (isOutage(error)) throw new RpcError(Code.UNAVAILABLE, error.message);
    return false;
  }
}

/** The client's call with other metadata. */
export class SignedCall implements Call {
  readonly method: Method;
  readonly client: Call['client'];
  readonly metadata: Metadata;
  readonly deadline: number;
  readonly #call: Call;

  constructor(call: Call, metadata: Metadata) {
    this.#call = call;
    this.method = call.method;
    this.client = call.client;
    this.deadline = call.deadline;
    this.metadata = metadata;
  }

  get cancelled(): boolean {
    return this.#call.cancelled;
  }

  get authority(): string {
    return this.#call.authority;
  }

  get outlet(): Call['outlet'] {
    return this.#call.outlet;
  }

  get work(): Cancellable | undefined {
    return this.#call.work;
  }

  set work(work: Cancellable | undefined) {
    this.#call.work = work;
  }

  get responseHeaders(): Metadata {
    return this.#call.responseHeaders;
  }

  set responseHeaders(headers: Metadata) {
    this.#call.responseHeaders = headers;
  }

  get responseTrailers(): Metadata {
    return this.#call.responseTrailers;
  }

  set responseTrailers(trailers: Metadata) {
    this.#call.responseTrailers = trailers;
  }
}
