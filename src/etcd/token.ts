/**
 * etcd's tokens, as far as one tells by itself when it ends. Those that are signed (JWT) do; the others ("simple" ones)
 * end when they have not been used for a while, which only etcd knows.
 */

/** The metadata in which a client shows one: etcd's two names for it. Lower case. */
export const TOKEN_FIELDS: ReadonlySet<string> = new Set(['token', 'authorization']);

/** Longer ones are not looked into: etcd's own are a few hundred characters. */
const MAX_LENGTH = 16_384;

const BODY = 1;
const PARTS = 3;

/** When a token ends, in milliseconds since 1970 by etcd's clock; `undefined`: it does not say. */
export function endOfToken(token: string): number | undefined {
  if (token.length > MAX_LENGTH) return undefined;
  const parts = token.split('.');
  if (parts.length !== PARTS) return undefined;
  try {
    const { exp } = JSON.parse(Buffer.from(parts[BODY] as string, 'base64url').toString()) as {
      readonly exp?: unknown;
    };
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined;
  } catch {
    // No JSON object, so no such token.
    return undefined;
  }
}
