/**
 * START HERE for how the feeds of an identity share streams to etcd.
 *
 *   Rides            gives a feed its watch, once it is known whether etcd's member bears that streams are shared
 *     Ride             the watch as the feed has it, on whatever stream: a Seat on a shared one, or an UpstreamWatch
 *     LiveStreams      shared streams of what comes next      } of watches with previous values, and of watches
 *     PastStreams      shared streams of watches of the past  } without, since those cost etcd a read for each event
 *       SharedStream     one stream: its Seats, CreateLine, StreamQuestions
 *       Drain            moves all rides of one stream to others
 *     afterEnd         how many of those that were together may be so again
 */
import type { OwnWatch } from '../../etcd/watch-request.ts';
import type { ClientStream, ClientStreamListener } from '../../rpc/contract.ts';
import { Code, RpcError, type Status } from '../../rpc/status.ts';
import type { HeldBytes } from '../held-bytes.ts';
import type { MemberReleases } from '../member-releases.ts';
import type { AssemblyBounds } from '../response-assembly.ts';
import type { SharedFeeds } from '../shared-feeds.ts';
import type { UpstreamWatch, UpstreamWatchOwner } from '../upstream-watch.ts';
import { ALONE } from './company.ts';
import { LiveStreams } from './live-streams.ts';
import { PastStreams } from './past-streams.ts';
import { Ride, type RideHost, type RideOwner } from './ride.ts';
import type { SharedStream } from './shared-stream.ts';
import type { StreamHost } from './stream-group.ts';

/** The way to etcd with the identity's token. */
export interface RidesUpstream {
  readonly versions: MemberReleases;
  openWatch(request: OwnWatch, owner: UpstreamWatchOwner): UpstreamWatch;
  openStream(listener: ClientStreamListener): ClientStream;
}

/** The streams of watches that may be together. */
class StreamClass {
  readonly live: LiveStreams;
  readonly past: PastStreams;

  constructor(host: StreamHost) {
    this.live = new LiveStreams(host);
    this.past = new PastStreams(host, this.live);
  }
}

export class Rides implements RideHost, StreamHost {
  readonly held: HeldBytes;
  readonly assembly: AssemblyBounds;
  readonly #shared: SharedFeeds;
  readonly #etcd: RidesUpstream;
  readonly #plain = new StreamClass(this);
  readonly #prevKv = new StreamClass(this);
  /** Rides that begin when it is known whether streams may be shared. */
  readonly #waiting = new Set<Ride>();
  #asking = false;

  constructor(shared: SharedFeeds, etcd: RidesUpstream) {
    this.#shared = shared;
    this.#etcd = etcd;
    this.held = shared.held;
    this.assembly = shared.assembly;
  }

  /** Watches will be wanted soon: asks now whether they may share streams, where that is not known. */
  prepare(): void {
    if (this.#etcd.versions.verdict === undefined) this.#learn();
  }

  /** Streams carry other credentials from now on: those that are there take nobody any more. */
  renew(): void {
    for (const { live, past } of [this.#plain, this.#prevKv]) {
      live.renew();
      past.renew();
    }
  }

  /** Watches on behalf of a feed. @param fresh whether somebody waits for a watch that was not there before */
  begin(watch: OwnWatch, owner: RideOwner, fresh: boolean): Ride {
    const ride = new Ride(this, watch, owner, fresh);
    this.#begin(ride);
    return ride;
  }

  onMoved(): void {
    this.#shared.stats.moves++;
  }

  onOver(ride: Ride): void {
    this.#waiting.delete(ride);
  }

  onAloneGone(lost?: string): void {
    this.#shared.stats.streams--;
    if (lost !== undefined) this.#etcd.versions.forget(lost);
  }

  open(listener: ClientStreamListener): ClientStream {
    this.#shared.stats.streams++;
    return this.#etcd.openStream(listener);
  }

  onGone(): void {
    this.#shared.stats.streams--;
  }

  onFault(error: unknown): void {
    this.#shared.onFault(error);
  }

  onGap(ms: number): void {
    this.#shared.interval.onGap(ms);
  }

  /** The stream may have begun on another member than the one that is known. */
  onMember(stream: SharedStream, member: string): void {
    const { versions } = this.#etcd;
    if (stream.isOver) return;
    if (!versions.knows(member))
      versions.learn(member, () => stream.guard(() => this.onMember(stream, member)));
    else if (!versions.isSafe(member))
      stream.disband(new RpcError(Code.UNAVAILABLE, 'this release of etcd does not bear shared streams'));
  }

  /** The member may come back as another release; one that ended up here although it bears no sharing stays known. */
  onLost({ member }: SharedStream): void {
    const { versions } = this.#etcd;
    if (!versions.knows(member) || versions.isSafe(member)) versions.forget(member);
  }

  #begin(ride: Ride): void {
    const { watch, owner, fresh } = ride;
    const mayShare = this.#etcd.versions.verdict;
    if (mayShare === undefined) this.#wait(ride);
    else if (!mayShare || owner.company === ALONE || watch.fragment) {
      this.#shared.stats.streams++;
      ride.rideAlone(this.#etcd.openWatch(watch, ride));
    } else {
      const { live, past } = watch.prevKv ? this.#prevKv : this.#plain;
      const streams = watch.start === 0 ? live : past;
      try {
        ride.sit(streams.take(watch, ride, fresh, owner.company));
      } catch (error) {
        streams.forsake(ride);
        throw error;
      }
    }
  }

  #wait(ride: Ride): void {
    this.#waiting.add(ride);
    this.#learn();
  }

  #learn(): void {
    if (this.#asking) return;
    this.#asking = true;
    const isWanted = (): boolean => this.#waiting.size > 0;
    this.#etcd.versions.learnAny(isWanted, (refusal) => this.#onLearned(refusal));
  }

  #onLearned(refusal: Status | undefined): void {
    this.#asking = false;
    for (const ride of [...this.#waiting]) {
      // What became of one before may have been the end of others.
      if (!this.#waiting.delete(ride)) continue;
      try {
        if (refusal === undefined) this.#begin(ride);
        else ride.refuse(refusal);
      } catch (error) {
        this.onFault(error);
        ride.onFault();
      }
    }
  }
}
