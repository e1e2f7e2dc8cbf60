/**
 * `etcdserverpb.Auth`, as far as the proxy does more than forward it: when users, roles or their permissions change,
 * whoever remembers what clients may do is told, before etcd is asked and again when it has answered. Which user etcd hands
 * a token out to is told as well.
 */
import { nameIn, tokenIn } from '../etcd/auth-messages.ts';
import { Auth } from '../etcd/methods.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import type { OwnMethod } from './table.ts';

/** The methods that change who may do what: all but those that only look, and the one that gives out tokens. */
const CHANGES = Object.values(Auth).filter((method) => !method.idempotent && method !== Auth.Authenticate);

/** Who hears of what goes through. None of it may throw. */
export interface AuthListener {
  /** Users, roles or their permissions may change, or have changed. */
  onChanged(): void;
  /** etcd has handed out a token. */
  onToken(user: string, token: string): void;
}

/** The handlers. */
export function authService(upstream: UnaryUpstream, listener: AuthListener): OwnMethod[] {
  const changes = CHANGES.map(
    (method): OwnMethod => ({
      method,
      unary: (request, call) => {
        listener.onChanged();
        return forwardLater(upstream, request, call).finally(() => listener.onChanged());
      },
    }),
  );
  const authenticate: OwnMethod = {
    method: Auth.Authenticate,
    unary: async (request, call) => {
      const reply = await forwardLater(upstream, request, call);
      const given = readToken(request, reply);
      if (given !== undefined) listener.onToken(given.user, given.token);
      return reply;
    },
  };
  return [...changes, authenticate];
}

/** Whom etcd has given which token; undefined: it cannot be read, which is for the client to find out. */
function readToken(request: Uint8Array, reply: Uint8Array): { user: string; token: string } | undefined {
  try {
    return { user: nameIn(request), token: tokenIn(reply) };
  } catch {
    return undefined;
  }
}
