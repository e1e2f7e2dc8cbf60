/** Gets a token for a user of the proxy's own. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Auth } from '../etcd/methods.ts';
import type { UnaryUpstream } from '../rpc/contract.ts';
import { Metadata, NO_METADATA } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError } from '../rpc/status.ts';

/** How long it may take, in milliseconds; etcd works on a password for some tenths of a second. */
const LIMIT_MS = 10_000;

/** `AuthenticateResponse.token`. */
const TOKEN_FIELD = 2;

/** A user of etcd's: a name and a password. */
export interface User {
  readonly name: string;
  readonly password: string;
}

/**
 * Authenticates to etcd. What is thrown names neither the password nor the token.
 * @returns the metadata that calls of the user carry
 * @throws RpcError as etcd does; FAILED_PRECONDITION while auth is off, CANCELLED where it takes too long
 */
export async function authenticate(upstream: UnaryUpstream, { name, password }: User): Promise<Metadata> {
  // AuthenticateRequest{name, password}
  const request = new BinaryWriter().uint32(0x0a).string(name).uint32(0x12).string(password).finish();
  const call = new OwnCall(Auth.Authenticate, NO_METADATA, performance.now() + LIMIT_MS);
  const reply = await call.inTime(upstream.unary(request, call));
  return new Metadata(['token', tokenIn(reply)]);
}

function tokenIn(reply: Uint8Array): string {
  const reader = new BinaryReader(reply);
  let token = '';
  try {
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === TOKEN_FIELD && wireType === WireType.LengthDelimited) token = reader.string(true);
      else reader.skip(wireType, field);
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // The cause might show parts of the token.
    throw new RpcError(
      Code.INTERNAL,
      "etcd-connect-proxy: etcd's reply is no etcdserverpb.AuthenticateResponse",
    );
  }
  return token;
}
