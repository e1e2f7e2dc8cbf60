/**
 * Leases within an isolated namespace. Whatever names a lease of elsewhere reaches etcd with an id that no lease has, so
 * that etcd itself answers what it answers where a lease is not there, after all that it looks at before.
 */
import { leaseIn, withLease } from '../etcd/lease-places.ts';
import { SESSION_GRANT } from '../etcd/lease-requests.ts';
import { LeaseSelection } from '../etcd/lease-selection.ts';
import { LeaseTag } from '../etcd/lease-tags.ts';
import { Election, Lease, Lock } from '../etcd/methods.ts';
import { asLocksTell, saysLeaseExists } from '../etcd/words.ts';
import type { Call, UnaryHandler } from '../rpc/contract.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { RoundRobin } from '../rpc/round-robin.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { Browser } from '../services/browser.ts';
import type { IsolationStats } from './isolation-stats.ts';
import type { LeaseIds } from './lease-ids.ts';
import { withReplies } from './namespaced-unary.ts';

/** With so many leases that every choice of eight is taken, a namespace is full. */
const MOST_CHOICES = 8;

const WANTED_ID = new RpcError(
  Code.PERMISSION_DENIED,
  'etcd-connect-proxy: a lease of this namespace is granted with ID 0, for which the proxy chooses an id, or with an id of the namespace',
);

/** The handlers of the unary methods about one lease, by path; puts and leaders name leases that `LeasesWithin` looks at. */
export class IsolatedLeases {
  readonly #ids: LeaseIds;
  readonly #stats: IsolationStats;
  readonly #grant: UnaryHandler;
  readonly #turns = new RoundRobin<Uint8Array>();

  /** @param grant grants leases, without isolation */
  constructor(ids: LeaseIds, stats: IsolationStats, grant: UnaryHandler) {
    this.#ids = ids;
    this.#stats = stats;
    this.#grant = grant;
  }

  /** The handler that stands before another one. Undefined: requests for this path name no leases. */
  before(path: string, inner: UnaryHandler): UnaryHandler | undefined {
    switch (path) {
      case Lease.LeaseGrant.path:
        return (request, call) => this.#granted(request, call);
      case Lease.LeaseLeases.path:
        return withReplies(inner, (reply) =>
          this.#turns.run(new LeaseSelection(reply, (id) => this.#ids.owns(id))),
        );
      case Lease.LeaseTimeToLive.path:
      case Browser.LeaseKeepAliveOnce.path:
        return (request, call) => this.#answered(inner, request, call);
      case Lease.LeaseRevoke.path:
        return (request, call) => inner(this.hide(request), call);
      case Lock.Lock.path:
      case Election.Campaign.path:
        return this.#inSession(inner);
      default:
        return undefined;
    }
  }

  /** Hides a lease of elsewhere in a request about one. */
  hide(request: Uint8Array): Uint8Array {
    const lease = this.#leaseIn(request, LeaseTag.ofLease);
    if (lease === 0n || this.#ids.owns(lease)) return request;
    this.#stats.hidden++;
    return withLease(request, LeaseTag.ofLease, this.#ids.absent);
  }

  #leaseIn(request: Uint8Array, tag: number): bigint {
    try {
      return leaseIn(request, tag);
    } catch (error) {
      throw this.#stats.refused(error);
    }
  }

  /** The answer about a lease of elsewhere has the id that was asked for. */
  #answered(inner: UnaryHandler, request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const hidden = this.hide(request);
    if (hidden === request) return inner(request, call);
    const wanted = leaseIn(request, LeaseTag.ofLease);
    return Promise.resolve(inner(hidden, call)).then((reply) => withLease(reply, LeaseTag.reply, wanted));
  }

  async #granted(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const wanted = this.#leaseIn(request, LeaseTag.grant);
    if (this.#ids.owns(wanted)) return this.#grant(request, call);
    if (wanted !== 0n) {
      this.#stats.refusedIds++;
      throw WANTED_ID;
    }
    for (let choice = 1; ; choice++) {
      try {
        return await this.#grant(withLease(request, LeaseTag.grant, this.#ids.choose()), call);
      } catch (error) {
        const isTaken = error instanceof RpcError && saysLeaseExists(error);
        if (!isTaken || choice === MOST_CHOICES || call.cancelled) throw error;
      }
    }
  }

  /** Where a lock or campaign names no lease, etcd would grant one with an id of its own; so it is granted here. */
  #inSession(inner: UnaryHandler): UnaryHandler {
    return (request, call) =>
      this.#leaseIn(request, LeaseTag.session) === 0n
        ? this.#withSession(inner, request, call)
        : inner(request, call);
  }

  async #withSession(inner: UnaryHandler, request: Uint8Array, call: Call): Promise<Uint8Array> {
    const granting = new OwnCall(Lease.LeaseGrant, call.metadata, call.deadline, call.client);
    call.work = granting;
    let granted: Uint8Array;
    try {
      granted = await this.#granted(SESSION_GRANT, granting);
    } catch (error) {
      call.responseTrailers = granting.responseTrailers;
      throw error instanceof RpcError ? asLocksTell(error) : error;
    }
    if (call.cancelled) throw RpcError.cancelled();
    call.work = undefined;
    return inner(withLease(request, LeaseTag.session, leaseIn(granted, LeaseTag.reply)), call);
  }
}
