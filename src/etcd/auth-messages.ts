/** What a user signs in with, and what etcd answers. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { BoundedFields } from './bounded-fields.ts';

/** Tags of `AuthenticateRequest`. */
const Tag = { name: 0x0a, password: 0x12 } as const;

/** `AuthenticateRequest.name`. */
const NAME = 1;

/** `AuthenticateResponse.token`. */
const TOKEN = 2;

/** An encoded AuthenticateRequest. */
export function authenticateRequest(name: string, password: string): Uint8Array {
  return new BinaryWriter().uint32(Tag.name).string(name).uint32(Tag.password).string(password).finish();
}

/** The token in an AuthenticateResponse. @throws Error for bytes that are none, which may quote parts of the token */
export function tokenIn(reply: Uint8Array): string {
  return textIn(reply, TOKEN);
}

/** The user in an AuthenticateRequest. @throws Error for bytes that are none, and TOO_MANY_FIELDS */
export function nameIn(request: Uint8Array): string {
  return textIn(request, NAME);
}

/** The last text in a field, which counts where there are several. */
function textIn(message: Uint8Array, wanted: number): string {
  const fields = new BoundedFields(message);
  let text = '';
  while (fields.next()) {
    if (fields.is(wanted, WireType.LengthDelimited)) text = fields.reader.string(true);
    else fields.skip();
  }
  return text;
}
