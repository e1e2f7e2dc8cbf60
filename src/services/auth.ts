/**
 * `etcdserverpb.Auth`, as far as the proxy does more than forward it: when users, roles or their permissions change,
 * whoever remembers what clients may do is told, before etcd is asked and again when it has answered.
 */
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import type { Upstream } from '../rpc/contract.ts';
import { methodOf } from './methods.ts';
import type { OwnMethod } from './services.ts';

/** The methods that change who may do what: all but those that only look, and the one that gives out tokens. */
const CHANGES = Auth.methods.filter(
  ({ idempotency, name }) =>
    idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS && name !== 'Authenticate',
);

/** The handlers. `changed` must not throw. */
export function authService(upstream: Upstream, changed: () => void): OwnMethod[] {
  return CHANGES.map((descriptor) => ({
    method: methodOf(descriptor),
    unary: (request, call) => {
      changed();
      return upstream.unary(request, call).finally(changed);
    },
  }));
}
