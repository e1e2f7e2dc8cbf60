/** The table of what the proxy does with each method, and in one list the methods that it does not just forward. */
import { clientIdentityOf } from '../clients/identity.ts';
import type { Login } from '../clients/login.ts';
import type { Config } from '../config/config.ts';
import { KV, Lease, Watch } from '../etcd/methods.ts';
import type { Leases } from '../lease/leases.ts';
import { leaseService } from '../lease/service.ts';
import type { Members } from '../members/members.ts';
import { forwardUnary } from '../rpc/forward.ts';
import { authService } from '../services/auth.ts';
import { browserService } from '../services/browser.ts';
import { healthService } from '../services/health.ts';
import { HealthCheck } from '../services/health-check.ts';
import { ServiceTable } from '../services/table.ts';
import { watchService } from '../watch/client-stream.ts';
import type { WatchHub } from '../watch/hub.ts';
import type { Reads } from './reads.ts';

interface Parts {
  readonly config: Config;
  readonly reads: Reads;
  readonly hub: WatchHub;
  readonly login: Login;
  readonly leases: Leases;
  readonly members: Members;
}

/** Builds the table. The health check asks through it, as clients do. */
export function buildServices({ config, reads, hub, login, leases, members }: Parts) {
  const { ranges, txns, rangeStreams, upstream, seen } = reads;
  const services = new ServiceTable(upstream);
  seen.onReplaced(() => hub.shared.permits.onOtherStore());
  const healthCheck = new HealthCheck(services, login);
  services.add([
    // Reads: the topmost layer that knows the answer gives it, see reads.ts.
    { method: KV.Range, unary: forwardUnary(ranges) },
    { method: KV.RangeStream, stream: rangeStreams },
    { method: KV.Txn, unary: forwardUnary(txns) },
    // What changes permissions is forwarded, and whatever remembers permissions hears of it; so is what hands out tokens.
    ...authService(upstream, {
      onChanged() {
        reads.withdrawPermissions();
        hub.shared.permits.onChanged();
      },
      onUserChanged: (user) => hub.shared.permits.onUserChanged(user),
      onToken: (user, token) => hub.shared.users.learn(user, token),
      shows: (user, metadata) => hub.shared.users.userOf(clientIdentityOf(metadata).token) === user,
    }),
    // Heartbeats of many clients travel on few streams.
    { method: Lease.LeaseKeepAlive, stream: leaseService(leases, upstream, hub.shared.leader) },
    // Clients are told of proxies in place of etcd's members.
    ...members.services(),
    // For clients that cannot open bidirectional streams: served by the handlers of Watch and LeaseKeepAlive.
    ...browserService(services),
    // The health of the proxy is that of a read through it.
    ...healthService(async () => (await healthCheck.check()).health),
  ]);
  // Watches of many clients are few on etcd.
  if (config['watch-coalescing'])
    services.add([{ method: Watch.Watch, stream: watchService(hub, upstream, seen) }]);
  return { services, healthCheck };
}
