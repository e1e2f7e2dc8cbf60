/** Which keys a request is about, in the words of etcd: a key, and where its range ends. */

import { badRequest } from './query.ts';
import type { KeyTarget } from './target.ts';

/** A range of keys as etcd's requests write it. */
export interface Keys {
  readonly key: Uint8Array;
  /** Empty: just the key. */
  readonly rangeEnd: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const ZERO = Uint8Array.of(0);

/** One key. @throws RpcError for the empty one, which there is not */
export function oneKey({ key, place }: KeyTarget): Keys {
  if (key.length === 0) throw badRequest(`no key is given: /${place}/KEY, or ?prefix for all keys`);
  return { key, rangeEnd: NOTHING };
}

/** All keys that begin so; the empty prefix is all there are. */
export function prefixKeys({ key }: KeyTarget): Keys {
  return key.length === 0 ? { key: ZERO, rangeEnd: ZERO } : { key, rangeEnd: endOf(key) };
}

/** The keys of a range that come after one. */
export function keysAfter({ key, rangeEnd }: Keys, after: Uint8Array): Keys {
  const next = Buffer.concat([after, ZERO]);
  return { key: Buffer.compare(next, key) > 0 ? next : key, rangeEnd };
}

/** The first key that is behind all that begin so; a zero byte: there is none. */
function endOf(prefix: Uint8Array): Uint8Array {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return ZERO;
  const end = Uint8Array.from(prefix.subarray(0, length));
  end[length - 1] = (end[length - 1] as number) + 1;
  return end;
}
