/**
 * `etcdserverpb.Auth`, as far as the proxy does more than forward it: when users, roles or their permissions change,
 * whoever remembers what clients may do is told, before etcd is asked and again when it has answered.
 */
import { Auth } from '../etcd/methods.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import type { OwnMethod } from './table.ts';

/** The methods that change who may do what: all but those that only look, and the one that gives out tokens. */
const CHANGES = Object.values(Auth).filter((method) => !method.idempotent && method !== Auth.Authenticate);

/** The handlers. `changed` must not throw. */
export function authService(upstream: UnaryUpstream, changed: () => void): OwnMethod[] {
  return CHANGES.map((method) => ({
    method,
    unary: (request, call) => {
      changed();
      return forwardLater(upstream, request, call).finally(changed);
    },
  }));
}
