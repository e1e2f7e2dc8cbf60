/**
 * etcd's leave to watch a range: what it says of a read of exactly that range by the one who watches. A watch on etcd goes on
 * without it, since etcd asks only once.
 */
import type { KeyRange } from '../etcd/key-range.ts';
import { permissionRequest } from '../etcd/own-requests.ts';
import { isRefusal } from '../etcd/statuses.ts';
import { cancelReasonOf, refusesUser, saysPermissionDenied } from '../etcd/words.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { RpcError } from '../rpc/status.ts';
import type { ReadAs } from './probes.ts';

/** What etcd said. */
export type WatchPermission =
  | { readonly kind: 'allowed' }
  /** The user may not read the range. @see cancelReasonOf */
  | { readonly kind: 'denied'; readonly reason: string }
  /**
   * The token is no good, which says nothing of the user: one that has expired and one of a user that is gone look alike, any
   * change of users makes each JWT too old, and simple tokens may be unknown to another member.
   */
  | { readonly kind: 'token'; readonly reason: string }
  /** It could not be asked, or something on the way to it denied that. */
  | { readonly kind: 'failed' };

/**
 * Asks etcd, linearizably: a member that lags behind does not know yet what was taken from whom.
 */
export async function askWatchPermission(
  read: ReadAs,
  metadata: Metadata,
  range: KeyRange,
): Promise<WatchPermission> {
  try {
    await read(metadata, permissionRequest(range));
    return { kind: 'allowed' };
  } catch (thrown) {
    const error = RpcError.from(thrown);
    if (refusesUser(error)) return { kind: 'denied', reason: cancelReasonOf(error) };
    const isToken = isRefusal(error) && !saysPermissionDenied(error);
    return isToken ? { kind: 'token', reason: error.message } : { kind: 'failed' };
  }
}
