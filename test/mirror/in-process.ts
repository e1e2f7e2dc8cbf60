/** A mirror in this process, in front of a real etcd. */
import { Login } from '../../src/coalesce/mirror/login.ts';
import { Mirrors } from '../../src/coalesce/mirror/mirrors.ts';
import { SeenRevision } from '../../src/coalesce/seen-revision.ts';
import { WatchHub } from '../../src/coalesce/watch/hub.ts';
import { authenticate, type User } from '../../src/services/authenticate.ts';
import { WATCH_METHODS } from '../../src/services/watch.ts';
import type { Cluster } from '../../src/upstream/cluster.ts';
import { until } from '../clients/wait.ts';
import { connect } from '../reads/clients.ts';

const nothing = (): void => {};

/** What there is. */
export interface Place {
  readonly upstream: Cluster;
  readonly hub: WatchHub;
  readonly mirrors: Mirrors;
}

/** Gets a user's tokens. */
export const userOf = (user: User) => (upstream: Cluster) => new Login(() => authenticate(upstream, user));

/** Mirrors one prefix of the etcd at an address, and waits until it serves. */
export async function mirror(
  held: AsyncDisposableStack,
  address: string,
  prefix: string,
  seen = new SeenRevision(),
  login = (_upstream: Cluster) => new Login(undefined),
): Promise<Place> {
  const upstream = connect(address);
  held.defer(() => upstream.close());
  const history = { historyBytes: 1 << 22, historyRevisions: 10_000 };
  const hub = new WatchHub({ upstream, methods: WATCH_METHODS, ...history, linger: 0 });
  held.defer(() => hub.close());
  const mirrors = new Mirrors({
    prefixes: [prefix],
    bytes: 1 << 22,
    historyRevisions: 1000,
    hub,
    seen,
    range: WATCH_METHODS.range,
    login: login(upstream),
    log: { loaded: nothing, failed: nothing },
  });
  held.defer(() => mirrors.close());
  mirrors.start();
  await until('the mirror serves', () => mirrors.all[0]?.inSync === true);
  return { upstream, hub, mirrors };
}
