/**
 * `--namespace-isolation=strict`: within a namespace there is nothing but its keys and its leases. What concerns the whole
 * cluster is refused, and leases of elsewhere are not there. It knows what is allowed; whatever else there is, be it of an
 * etcd to come, is not.
 */
import { onlyLooks } from '../etcd/action.ts';
import { Auth, Election, KV, Lease, Lock, Maintenance, Watch } from '../etcd/methods.ts';
import { unknownMethodText } from '../etcd/words.ts';
import type { ServerStream, Services, StreamHandler, UnaryHandler } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { Browser } from '../services/browser.ts';
import { Health } from '../services/health.ts';
import { IsolatedHeartbeats } from './isolated-heartbeats.ts';
import { IsolatedLeases } from './isolated-leases.ts';
import type { IsolationStats } from './isolation-stats.ts';
import { LeaseIds } from './lease-ids.ts';
import { LeasesWithin } from './leases-within.ts';

/** What is allowed. Of alarms one may look at those that there are: health checks of etcd's tools do. */
const ALLOWED: ReadonlySet<string> = new Set(
  [
    ...[KV.Range, KV.RangeStream, KV.Put, KV.DeleteRange, KV.Txn, Watch.Watch],
    ...Object.values(Lease),
    ...Object.values(Lock),
    ...Object.values(Election),
    ...[Auth.Authenticate, Maintenance.Status, Maintenance.Alarm],
    ...Object.values(Browser),
    ...Object.values(Health),
  ].map(({ path }) => path),
);

/** The services of a namespace, without what is outside. */
export class IsolatedServices implements Services {
  readonly #inner: Services;
  readonly #stats: IsolationStats;
  readonly #ids: LeaseIds;
  readonly #leases: IsolatedLeases;
  /** Those of known methods that were called. */
  readonly #unary = new Map<string, UnaryHandler>();

  /** @param within services that rewrite keys, and have requests name only those leases @param prefix of the namespace */
  constructor(within: (leases: LeasesWithin) => Services, prefix: Uint8Array, stats: IsolationStats) {
    this.#stats = stats;
    this.#ids = new LeaseIds(prefix);
    const inner = within(new LeasesWithin(this.#ids, stats));
    this.#inner = inner;
    this.#leases = new IsolatedLeases(this.#ids, stats, inner.unary(Lease.LeaseGrant.path) as UnaryHandler);
  }

  method(path: string): Method {
    return this.#inner.method(path);
  }

  unary(path: string): UnaryHandler | undefined {
    let handler = this.#unary.get(path);
    if (handler !== undefined) return handler;
    const inner = this.#inner.unary(path);
    if (inner === undefined) return undefined;
    handler = this.#isolated(path, inner);
    this.#unary.set(path, handler);
    return handler;
  }

  stream(path: string): StreamHandler {
    // A unary method has its handler above; as a stream it would be another way in.
    if (!ALLOWED.has(path) || this.#inner.unary(path) !== undefined)
      return (client) => refuse(client, this.#refusal(path));
    const inner = this.#inner.stream(path);
    if (path !== Lease.LeaseKeepAlive.path) return inner;
    return (client, call) => {
      const heartbeats = new IsolatedHeartbeats(client, this.#ids, (request) => this.#leases.hide(request));
      inner(heartbeats, call);
      client.listener = heartbeats;
    };
  }

  #isolated(path: string, inner: UnaryHandler): UnaryHandler {
    if (!ALLOWED.has(path))
      return () => {
        throw this.#refusal(path);
      };
    if (path !== Maintenance.Alarm.path) return this.#leases.before(path, inner) ?? inner;
    return (request, call) => {
      if (!this.#onlyLooksAtAlarms(request)) throw this.#refusal(path);
      return inner(request, call);
    };
  }

  #onlyLooksAtAlarms(request: Uint8Array): boolean {
    try {
      return onlyLooks(request);
    } catch (error) {
      throw this.#stats.refused(error);
    }
  }

  #refusal(path: string): RpcError {
    this.#stats.refusedMethods++;
    const { service, name } = this.method(path);
    if (service === 'unknown') return new RpcError(Code.UNIMPLEMENTED, unknownMethodText(path));
    return new RpcError(
      Code.PERMISSION_DENIED,
      `etcd-connect-proxy: ${name} concerns the whole cluster, and this namespace is isolated from it`,
    );
  }
}

function refuse(client: ServerStream, error: RpcError): void {
  client.listener = NO_STREAM_LISTENER;
  client.end(error);
}
