/** Tokens of etcd's users: the two kinds there are, and how to get one. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AuthenticateRequestSchema, AuthenticateResponseSchema } from '#gen/etcdserverpb/auth_pb.js';
import type { EtcdOptions } from '../support/etcd.ts';
import { tempDir } from '../support/process.ts';
import type { CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';

/** `simple`: etcd remembers them, and forgets those that are not used. `jwt`: signed, with an end from the start. */
export const TOKEN_KINDS = ['simple', 'jwt'] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

/** The settings of an etcd whose tokens are of a kind and live for so many seconds. */
export async function tokens(kind: TokenKind, seconds: number): Promise<EtcdOptions> {
  if (kind === 'simple') return { bcryptCost: 4, authTokenTtlSeconds: seconds };
  const file = join(await tempDir('jwt'), 'secret');
  await writeFile(file, 'a secret for a test');
  return { bcryptCost: 4, authToken: `jwt,sign-method=HS256,priv-key=${file},ttl=${seconds}s` };
}

/** What a call of a user's carries; every user's password is `pw`. */
export async function signIn(etcd: RawGrpcClient, name: string): Promise<CallOptions> {
  const value = create(AuthenticateRequestSchema, { name, password: 'pw' });
  const { messages, message } = await etcd.call('/etcdserverpb.Auth/Authenticate', [
    toBinary(AuthenticateRequestSchema, value),
  ]);
  assert.ok(messages[0], message);
  return { metadata: { token: fromBinary(AuthenticateResponseSchema, messages[0]).token } };
}
