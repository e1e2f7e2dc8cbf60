/**
 * The proxy's own user in etcd: none until etcd demands one. The token is got when etcd first refuses a call without
 * it, and anew when etcd does not know it any more: tokens end with their time, with the member's process, and with
 * changes of permissions.
 */
import { OWN_METADATA } from '../etcd/own-metadata.ts';
import { saysAuthIsOff } from '../etcd/words.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** Gets a token, as the metadata that shows it. @throws RpcError as etcd does */
export type Authenticate = () => Promise<Metadata>;

/** After a failure, how long nobody tries again: checking a password is costly for etcd. Milliseconds. */
const PAUSE_MS = 10_000;

export class Login {
  /** What shows who the proxy is; without a token for nobody. */
  metadata: Metadata = OWN_METADATA;
  readonly #authenticate: Authenticate | undefined;
  #renewing: Promise<void> | undefined;
  #failure: { readonly at: number; readonly error: RpcError } | undefined;

  /** @param authenticate `undefined`: the proxy has no user, and stays nobody */
  constructor(authenticate: Authenticate | undefined) {
    this.#authenticate = authenticate;
  }

  /** Whether there is a user to be. */
  get hasUser(): boolean {
    return this.#authenticate !== undefined;
  }

  /** Makes a call as the user; once more with a new token if etcd does not take the present one. */
  async run<T>(call: (metadata: Metadata) => Promise<T>): Promise<T> {
    const used = this.metadata;
    try {
      return await call(used);
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (this.#authenticate === undefined || !isAboutToken(error)) throw error;
      if (this.metadata === used) await this.#renew(this.#authenticate);
      if (this.metadata === used) throw error;
      return call(this.metadata);
    }
  }

  /** Gets one new token for all calls that were refused at the same time. */
  #renew(authenticate: Authenticate): Promise<void> {
    if (this.#failure !== undefined && performance.now() - this.#failure.at < PAUSE_MS)
      return Promise.reject(this.#failure.error);
    this.#renewing ??= this.#login(authenticate).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #login(authenticate: Authenticate): Promise<void> {
    try {
      this.metadata = await authenticate();
      this.#failure = undefined;
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (saysAuthIsOff(error)) {
        this.metadata = OWN_METADATA;
        return;
      }
      this.#failure = { at: performance.now(), error };
      throw error;
    }
  }
}

/** Whether etcd wants another token, or one at all; it is no use for a permission that the user does not have. */
function isAboutToken({ code }: RpcError): boolean {
  return code === Code.UNAUTHENTICATED || code === Code.INVALID_ARGUMENT;
}
