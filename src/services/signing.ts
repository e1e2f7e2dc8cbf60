/**
 * Services for clients that the proxy signs in: their calls go on with a user's token, and once more where etcd does not
 * take it any more. It looks at tokens before it does anything, so no write is made twice. A stream waits until the token
 * is known to be good, since it is looked at when a stream begins, and its client could do nothing about a refusal.
 */
import { Auth } from '../etcd/methods.ts';
import { wantsToken } from '../etcd/words.ts';
import type { Call, Services, StreamHandler, UnaryHandler } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { RpcError } from '../rpc/status.ts';
import { hasAnother, SignedCall, type SigningUser } from './signed-call.ts';
import { SignedStream } from './signed-stream.ts';

/** Knows whom a call is to be made as, if not as whom its client says. */
export interface SigningUsers {
  of(call: Call): SigningUser | undefined;
}

export class SigningServices implements Services {
  readonly #services: Services;
  readonly #users: SigningUsers;
  /** By path, of the methods that are known. */
  readonly #unary = new Map<string, UnaryHandler>();

  constructor(services: Services, users: SigningUsers) {
    this.#services = services;
    this.#users = users;
  }

  method(path: string): Method {
    return this.#services.method(path);
  }

  unary(path: string): UnaryHandler | undefined {
    const known = this.#unary.get(path);
    if (known !== undefined) return known;
    const handler = this.#services.unary(path);
    // Who signs in by itself shows no token yet.
    if (handler === undefined || path === Auth.Authenticate.path) return handler;
    const signing: UnaryHandler = (request, call) => {
      const user = this.#users.of(call);
      return user === undefined ? handler(request, call) : asUser(handler, request, call, user);
    };
    this.#unary.set(path, signing);
    return signing;
  }

  stream(path: string): StreamHandler {
    const handler = this.#services.stream(path);
    return (client, call) => {
      const user = this.#users.of(call);
      if (user === undefined) handler(client, call);
      else new SignedStream(client, call, user).begin(handler);
    };
  }
}

async function asUser(
  handler: UnaryHandler,
  request: Uint8Array,
  call: Call,
  user: SigningUser,
): Promise<Uint8Array> {
  const signed = user.sign(call.metadata);
  try {
    return await handler(request, new SignedCall(call, signed));
  } catch (thrown) {
    const error = RpcError.from(thrown);
    if (call.cancelled || !wantsToken(error) || !(await hasAnother(user, signed))) throw thrown;
    if (call.cancelled) throw RpcError.cancelled();
    return handler(request, new SignedCall(call, user.sign(call.metadata)));
  }
}
