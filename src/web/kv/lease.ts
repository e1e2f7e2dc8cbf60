/** The lease that a put gets: one that there is, or one that is granted for it, which ends with a put that comes to nothing. */
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { RpcError } from '../../rpc/status.ts';
import type { Outcome } from './change.ts';
import { badRequest, type Query } from './query.ts';
import type { KeyRequest } from './request.ts';

/** What the parameters of a put say of its lease. */
export interface LeaseWish {
  /** The id of one that there is. */
  readonly lease: bigint | undefined;
  /** For how many seconds one shall be granted. */
  readonly ttl: bigint | undefined;
}

/** Reads it. @throws RpcError */
export function leaseWish(query: Query): LeaseWish {
  const wish = { lease: query.lease('lease'), ttl: query.number('ttl') };
  if (wish.lease !== undefined && wish.ttl !== undefined)
    throw badRequest('a key has one lease: lease or ttl');
  return wish;
}

/**
 * Does something with that lease; 0: none. A lease that was granted for it is revoked before the client
 * hears that nothing was done, so that what the client tries next stays. @throws RpcError (rejects)
 */
export async function withGrantedLease(
  request: KeyRequest,
  { lease = 0n, ttl }: LeaseWish,
  put: (lease: bigint) => Promise<Outcome>,
): Promise<Outcome> {
  if (ttl === undefined) return await put(lease);
  // Neither grant nor revocation ends with the client: nobody would know of the lease.
  const granted = await request.askAside(Lease.method.leaseGrant, { TTL: ttl });
  let done = false;
  try {
    const outcome = await put(granted.ID);
    done = outcome.done;
    if (done)
      request.reply.header('x-etcd-lease', String(granted.ID)).header('x-etcd-ttl', String(granted.TTL));
    return outcome;
  } finally {
    if (!done) await revoke(request, granted.ID);
  }
}

/** A lease that cannot be revoked ends by itself. */
async function revoke(request: KeyRequest, ID: bigint): Promise<void> {
  try {
    await request.askAside(Lease.method.leaseRevoke, { ID });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
  }
}
