/**
 * `etcdserverpb.Auth`, as far as the proxy does more than forward it: when users, roles or their permissions change,
 * whoever remembers what clients may do is told, before etcd is asked and again when it has answered. Which user etcd hands
 * a token out to is told as well, and which user's tokens it has dropped.
 */
import { nameIn, tokenIn } from '../etcd/auth-messages.ts';
import { Auth } from '../etcd/methods.ts';
import { isOutage } from '../etcd/statuses.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import { RpcError } from '../rpc/status.ts';
import type { OwnMethod } from './table.ts';

/** The methods that change who may do what: all but those that only look, and the one that gives out tokens. */
const CHANGES = Object.values(Auth).filter((method) => !method.idempotent && method !== Auth.Authenticate);

/** Those after which the same name may be another user's; etcd drops the tokens of the one before. */
const RENEWALS: ReadonlySet<unknown> = new Set([Auth.UserDelete, Auth.UserChangePassword]);

/** Who hears of what goes through. None of it may throw. */
export interface AuthListener {
  /** Users, roles or their permissions may change, or have changed. */
  onChanged(): void;
  /** A user is gone, or has another password, or may be: etcd did not answer. */
  onUserChanged(user: string): void;
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
        const reply = forwardLater(upstream, request, call);
        const told = RENEWALS.has(method) ? tellUser(reply, request, listener) : reply;
        return told.finally(() => listener.onChanged());
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

/** Tells whose tokens are dropped, unless etcd has refused that: anybody may ask for it. */
async function tellUser(
  reply: Promise<Uint8Array>,
  request: Uint8Array,
  listener: AuthListener,
): Promise<Uint8Array> {
  try {
    const done = await reply;
    tell();
    return done;
  } catch (thrown) {
    if (isOutage(RpcError.from(thrown))) tell();
    throw thrown;
  }
  function tell(): void {
    const user = readName(request);
    if (user !== undefined) listener.onUserChanged(user);
  }
}

/** Who a request is about; undefined: etcd makes nothing of it either. */
function readName(request: Uint8Array): string | undefined {
  try {
    return nameIn(request);
  } catch {
    return undefined;
  }
}

/** Whom etcd has given which token; undefined: it cannot be read, which is for the client to find out. */
function readToken(request: Uint8Array, reply: Uint8Array): { user: string; token: string } | undefined {
  try {
    return { user: nameIn(request), token: tokenIn(reply) };
  } catch {
    return undefined;
  }
}
