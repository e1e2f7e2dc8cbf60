/** A mirror in this process, in front of a real etcd. */

import { authenticate, type User } from '../../src/clients/authenticate.ts';
import { Login } from '../../src/clients/login.ts';
import { Permissions } from '../../src/clients/permission.ts';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { Mirrors } from '../../src/mirror/mirrors.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { WatchHub } from '../../src/watch/hub.ts';
import { connect } from '../reads/clients.ts';
import { until } from '../support/until.ts';

const nothing = (): void => {};

/** What there is. */
export interface Place {
  readonly upstream: ClusterClient;
  readonly hub: WatchHub;
  readonly mirrors: Mirrors;
}

/** Gets a user's tokens. */
export const userOf = (user: User) => (upstream: ClusterClient) =>
  new Login(() => authenticate(upstream, user));

/** Mirrors one prefix of the etcd at an address, and waits until it serves. */
export async function mirror(
  held: AsyncDisposableStack,
  address: string,
  prefix: string,
  seen = new SeenRevision(),
  login = (_upstream: ClusterClient) => new Login(undefined),
): Promise<Place> {
  const upstream = connect(address);
  held.defer(() => upstream.close());
  const history = {
    historyBytes: 1 << 22,
    historyRevisions: 10_000,
    maxRevisionBytes: 1 << 22,
    fragmentBytes: 1 << 21,
  };
  const own = login(upstream);
  const revision = { current: async () => undefined };
  const sharing = { login: own, revision, reauthorize: 0 };
  const hub = new WatchHub({ upstream, ...history, linger: 0, sharing });
  held.defer(() => hub.close());
  const mirrors = new Mirrors({
    prefixes: [prefix],
    bytes: 1 << 22,
    historyRevisions: 1000,
    hub,
    permissions: new Permissions(),
    seen,
    login: own,
    log: { onLoaded: nothing, onFailed: nothing },
  });
  held.defer(() => mirrors.close());
  mirrors.start();
  await until('the mirror serves', () => mirrors.all[0]?.inSync === true);
  return { upstream, hub, mirrors };
}
