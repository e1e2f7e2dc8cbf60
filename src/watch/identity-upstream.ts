/** etcd as the clients of one identity reach it: what is asked and watched there carries their token. */
import type { Identity } from '../clients/identity.ts';
import { IdentityProbes } from '../clients/identity-probes.ts';
import type { Asker } from '../clients/probe.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { KV, Maintenance, Watch } from '../etcd/methods.ts';
import type { OwnWatch } from '../etcd/watch-request.ts';
import type { ClientStream, ClientStreamListener } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import type { Ride, RideOwner } from './rides/ride.ts';
import { Rides, type RidesUpstream } from './rides/rides.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import { UpstreamWatch, type UpstreamWatchOwner } from './upstream-watch.ts';
import { Versions } from './versions.ts';

/** Asked where the watches are: behind one address, another connection may be to another member. */
const STATUS: Method = { ...Maintenance.Status, pace: 'following' };

export class IdentityUpstream implements RidesUpstream {
  readonly identity: Identity;
  readonly versions: Versions;
  readonly #shared: SharedFeeds;
  readonly #probes: IdentityProbes;
  readonly #rides: Rides;

  constructor(shared: SharedFeeds, identity: Identity) {
    this.#shared = shared;
    this.identity = identity;
    const { metadata } = identity;
    this.#probes = new IdentityProbes(identity, (asker, request) => shared.unary(KV.Range, asker, request));
    this.versions = new Versions(() => shared.unary(STATUS, metadata, new Uint8Array(0)));
    this.#rides = new Rides(shared, this);
  }

  /** Asks for the revision that etcd's member has, and whether the range may be read. */
  probe(range: KeyRange, asker: Asker): void {
    this.#rides.prepare();
    this.#probes.ask(range, asker);
  }

  /** Asks for etcd's revision on behalf of nothing that is watched. */
  probeAny(asker: Asker): void {
    this.#probes.askAny(asker);
  }

  /** See {@link Rides.begin}. */
  ride(request: OwnWatch, owner: RideOwner, fresh: boolean): Ride {
    return this.#rides.begin(request, owner, fresh);
  }

  /** A watch on a stream of its own. */
  openWatch(request: OwnWatch, owner: UpstreamWatchOwner): UpstreamWatch {
    const { upstream, assembly } = this.#shared;
    return new UpstreamWatch(upstream, Watch.Watch, this.identity.metadata, request, assembly, owner);
  }

  /** A watch stream on which nothing is watched yet. */
  openStream(listener: ClientStreamListener): ClientStream {
    const call = new OwnCall(Watch.Watch, this.identity.metadata, Number.POSITIVE_INFINITY);
    return this.#shared.upstream.stream(call, listener);
  }
}
