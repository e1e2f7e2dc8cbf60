/** What a user signs in with, and what etcd answers. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Tags of `AuthenticateRequest`. */
const Tag = { name: 0x0a, password: 0x12 } as const;

/** `AuthenticateResponse.token`. */
const TOKEN = 2;

/** An encoded AuthenticateRequest. */
export function authenticateRequest(name: string, password: string): Uint8Array {
  return new BinaryWriter().uint32(Tag.name).string(name).uint32(Tag.password).string(password).finish();
}

/** The token in an AuthenticateResponse. @throws Error for bytes that are none, which may quote parts of the token */
export function tokenIn(reply: Uint8Array): string {
  const reader = new BinaryReader(reply);
  let token = '';
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === TOKEN && wireType === WireType.LengthDelimited) token = reader.string(true);
    else reader.skip(wireType, field);
  }
  return token;
}
