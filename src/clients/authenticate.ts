/** Gets a token for a user of the proxy's own. */
import { authenticateRequest, tokenIn } from '../etcd/auth-messages.ts';
import { Auth } from '../etcd/methods.ts';
import { OWN_METADATA, withOwnVersion } from '../etcd/own-metadata.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** How long it may take, in milliseconds; etcd works on a password for some tenths of a second. */
const LIMIT_MS = 10_000;

/** A user of etcd's: a name and a password. */
export interface User {
  readonly name: string;
  readonly password: string;
}

/**
 * Authenticates to etcd. What is thrown names neither the password nor the token.
 * @returns the metadata that calls of the user carry
 * @throws RpcError as etcd does; FAILED_PRECONDITION while auth is off, DEADLINE_EXCEEDED where it takes too long
 */
export async function authenticate(upstream: UnaryUpstream, { name, password }: User): Promise<Metadata> {
  const call = new OwnCall(Auth.Authenticate, OWN_METADATA, performance.now() + LIMIT_MS);
  const reply = await call.inTime(upstream.unary(authenticateRequest(name, password), call));
  try {
    return withOwnVersion(['token', tokenIn(reply)]);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // The cause might show parts of the token.
    throw new RpcError(
      Code.INTERNAL,
      "etcd-connect-proxy: etcd's reply is no etcdserverpb.AuthenticateResponse",
    );
  }
}
