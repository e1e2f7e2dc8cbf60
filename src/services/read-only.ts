/**
 * `--proxy=readonly`: services that change nothing on the cluster, for whichever door a call comes through. The table says
 * what only looks; whatever is not in it counts as a write, be it of an etcd to come. The proxy's own calls do not come
 * through here.
 */
import { onlyLooks } from '../etcd/action.ts';
import { Auth, Cluster, Election, KV, Lease, Maintenance, Watch } from '../etcd/methods.ts';
import { TxnWrites } from '../etcd/txn-writes.ts';
import type { Call, Services, StreamHandler, UnaryHandler } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { FIELDS_PER_TURN, RoundRobin } from '../rpc/round-robin.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { Browser } from './browser.ts';
import { Health } from './health.ts';

/**
 * What only looks. `Authenticate` hands out a token, without which nobody could read while auth is on. Heartbeats are not
 * among them: they keep keys that would be gone.
 */
const READS: ReadonlySet<string> = new Set(
  [
    ...[KV.Range, KV.RangeStream, Watch.Watch, Browser.Watch],
    ...[Lease.LeaseTimeToLive, Lease.LeaseLeases, Election.Leader, Election.Observe, Cluster.MemberList],
    ...[Maintenance.Status, Maintenance.Hash, Maintenance.HashKV, Maintenance.Snapshot],
    ...[Auth.Authenticate, Auth.AuthStatus, Auth.UserGet, Auth.UserList, Auth.RoleGet, Auth.RoleList],
    ...Object.values(Health),
  ].map(({ path }) => path),
);

/** Of these the request says whether they look. */
const LOOKS: ReadonlySet<string> = new Set([Maintenance.Alarm.path, Maintenance.Downgrade.path]);

/** The services of a proxy that only reads. */
export class ReadOnlyServices implements Services {
  readonly #services: Services;
  /** Of the methods that are known and were called, by path. */
  readonly #unary = new Map<string, UnaryHandler>();
  readonly #turns = new RoundRobin<boolean>();

  /** @param services all of them */
  constructor(services: Services) {
    this.#services = services;
  }

  method(path: string): Method {
    return this.#services.method(path);
  }

  unary(path: string): UnaryHandler | undefined {
    let handler = this.#unary.get(path);
    if (handler !== undefined) return handler;
    const inner = this.#services.unary(path);
    if (inner === undefined) return undefined;
    handler = this.#handler(path, inner);
    this.#unary.set(path, handler);
    return handler;
  }

  stream(path: string): StreamHandler {
    // A unary method has its handler above; as a stream it would be another way in.
    if (READS.has(path) && this.#services.unary(path) === undefined) return this.#services.stream(path);
    return this.#refuse;
  }

  readonly #refuse: StreamHandler = (client, { method }) => {
    client.listener = NO_STREAM_LISTENER;
    client.end(refusal(method));
  };

  #handler(path: string, inner: UnaryHandler): UnaryHandler {
    if (READS.has(path)) return inner;
    if (path === KV.Txn.path) return (request, call) => this.#txn(inner, request, call);
    const refused = refusal(this.method(path));
    return (request, call) => {
      if (LOOKS.has(path) && onlyLooks(request)) return inner(request, call);
      throw refused;
    };
  }

  #txn(inner: UnaryHandler, request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const look = new TxnWrites(request);
    const writes = look.advance(FIELDS_PER_TURN);
    if (writes === undefined) return this.#longTxn(look, inner, request, call);
    if (writes) throw refusal(KV.Txn);
    return inner(request, call);
  }

  async #longTxn(look: TxnWrites, inner: UnaryHandler, request: Uint8Array, call: Call): Promise<Uint8Array> {
    if (await this.#turns.finish(look)) throw refusal(KV.Txn);
    // A client that has gone would not hear the answer.
    if (call.cancelled) throw RpcError.cancelled();
    return inner(request, call);
  }
}

/** UNIMPLEMENTED, which is 501 in HTTP, as the v2 proxy answered. */
function refusal({ service, name }: Method): RpcError {
  const what = service === 'unknown' ? 'a method that it does not know' : name;
  return new RpcError(
    Code.UNIMPLEMENTED,
    `etcd-connect-proxy: this proxy is read-only (--proxy=readonly), and ${what} may write`,
  );
}
