/** The handler of `etcdserverpb.Lease/LeaseKeepAlive`: streams of clients that share, and those that are left to etcd. */
import { clientIdentityOf } from '../clients/identity.ts';
import type { LeaderDemands } from '../clients/leader-demands.ts';
import type { StreamHandler, Upstream } from '../rpc/contract.ts';
import { forwardStream } from '../rpc/forward.ts';
import { HeartbeatStream } from './client-stream.ts';
import type { Leases } from './leases.ts';

/** @param upstream where streams go that are left to etcd */
export function leaseService(leases: Leases, upstream: Upstream, leader: LeaderDemands): StreamHandler {
  const forward = forwardStream(upstream);
  return (client, call) => {
    const identity = clientIdentityOf(call.metadata);
    if (leases.refusedOf(identity)?.hasClient(call.client)) {
      leases.stats.apart.refused++;
      forward(client, call);
      return;
    }
    const stream = new HeartbeatStream(leases, identity, client, call, { forward, leader });
    client.listener = stream;
    stream.begin();
  };
}
