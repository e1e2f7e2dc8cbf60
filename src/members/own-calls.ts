/** Calls that the proxy makes as its own user, each for a time, and all of them until they are given up. */
import type { Login } from '../clients/login.ts';
import type { UnaryHandler } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { RpcError } from '../rpc/status.ts';

export class OwnCalls {
  readonly #login: Login;
  readonly #underWay = new Set<() => void>();

  constructor(login: Login) {
    this.#login = login;
  }

  /** Makes a call. @param ms how long etcd may take to answer @throws RpcError (rejects), DEADLINE_EXCEEDED when it took longer */
  ask(handler: UnaryHandler, method: Method, request: Uint8Array, ms: number): Promise<Uint8Array> {
    return this.#login.run(async (metadata) => {
      const call = new OwnCall(method, metadata, performance.now() + ms);
      const { promise, reject } = Promise.withResolvers<never>();
      const giveUp = (): void => {
        reject(RpcError.deadlineExceeded());
        call.cancel();
      };
      const timer = setTimeout(giveUp, ms);
      this.#underWay.add(giveUp);
      try {
        return await Promise.race([promise, handler(request, call)]);
      } finally {
        clearTimeout(timer);
        this.#underWay.delete(giveUp);
      }
    });
  }

  /** Gives up all that are under way. */
  cancel(): void {
    for (const giveUp of this.#underWay) giveUp();
  }
}
