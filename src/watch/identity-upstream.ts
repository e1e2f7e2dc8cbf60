/** etcd as the clients of one identity reach it, or those that share feeds: what is asked and watched carries one token. */
import type { Identity } from '../clients/identity.ts';
import { IdentityProbes } from '../clients/identity-probes.ts';
import type { Asker } from '../clients/probe.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { Maintenance, Watch } from '../etcd/methods.ts';
import { permissionRequest } from '../etcd/own-requests.ts';
import { isOutage } from '../etcd/statuses.ts';
import type { OwnWatch } from '../etcd/watch-request.ts';
import type { ClientStream, ClientStreamListener } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { RpcError } from '../rpc/status.ts';
import { MemberReleases } from './member-releases.ts';
import type { Ride, RideOwner } from './rides/ride.ts';
import { Rides, type RidesUpstream } from './rides/rides.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import type { Sponsor } from './sharing/sponsor.ts';
import { UpstreamWatch, type UpstreamWatchOwner } from './upstream-watch.ts';

/** Asked where the watches are: behind one address, another connection may be to another member. */
const STATUS: Method = { ...Maintenance.Status, pace: 'following' };

export class IdentityUpstream implements RidesUpstream {
  readonly versions: MemberReleases;
  readonly #shared: SharedFeeds;
  readonly #sponsor: Sponsor;
  readonly #probes: IdentityProbes;
  readonly #rides: Rides;
  /** What the streams carry that take newcomers. */
  #carried: Metadata;

  constructor(shared: SharedFeeds, sponsor: Sponsor) {
    this.#shared = shared;
    this.#sponsor = sponsor;
    this.#carried = sponsor.metadata;
    this.#probes = new IdentityProbes(sponsor.identity, (_, request) => sponsor.read(request));
    this.versions = new MemberReleases(() => shared.unary(STATUS, sponsor.metadata, new Uint8Array(0)));
    this.#rides = new Rides(shared, this);
  }

  get identity(): Identity {
    return this.#sponsor.identity;
  }

  /** Whether a watch that etcd refuses may be asked for again with other credentials. */
  get renews(): boolean {
    return this.#sponsor.renews;
  }

  /** Watches will be wanted soon. */
  prepare(): void {
    this.#rides.prepare();
  }

  /** Asks for the revision that etcd's member has, and whether the range may be read. */
  probe(range: KeyRange, asker: Asker): void {
    this.#probes.ask(range, asker);
  }

  /** etcd has refused a watch of the range. @returns whether it may be there with the credentials that there are now */
  async mayWatch(range: KeyRange): Promise<boolean> {
    try {
      await this.#sponsor.read(permissionRequest(range));
      return true;
    } catch (error) {
      // What cannot be known now is found out by the watch itself.
      return isOutage(RpcError.from(error));
    }
  }

  /** Asks for etcd's revision on behalf of nothing that is watched. */
  probeAny(asker: Asker): void {
    this.#probes.askAny(asker);
  }

  /** See {@link Rides.begin}. */
  ride(request: OwnWatch, owner: RideOwner, fresh: boolean): Ride {
    const { metadata } = this.#sponsor;
    if (metadata !== this.#carried) {
      this.#carried = metadata;
      this.#rides.renew();
    }
    return this.#rides.begin(request, owner, fresh);
  }

  /** A watch on a stream of its own. */
  openWatch(request: OwnWatch, owner: UpstreamWatchOwner): UpstreamWatch {
    const { upstream, assembly } = this.#shared;
    return new UpstreamWatch(upstream, Watch.Watch, this.#sponsor.metadata, request, assembly, owner);
  }

  /** A watch stream on which nothing is watched yet. */
  openStream(listener: ClientStreamListener): ClientStream {
    const call = new OwnCall(Watch.Watch, this.#sponsor.metadata, Number.POSITIVE_INFINITY);
    return this.#shared.upstream.stream(call, listener);
  }
}
