/**
 * START HERE. The watch hub: N watchers of clients, few watches on etcd.
 *
 *   client stream ─ Watcher ┐                       ┌ index: newest batch to the watchers it is for
 *   client stream ─ Watcher ┼─▶ Feed (range, A) ────┤
 *   client stream ─ Watcher ┘     │                 └ history: batches for the watchers behind
 *                                 ▼
 *                            Ride ─▶ etcd
 *
 * A client's stream is in `client-stream.ts`: a TicketLine of Tickets, requests that wait for what etcd has to say;
 * StreamWatchers, its watches by their numbers; ProgressRounds, the answers to requests for progress; ClientOutput, what goes
 * out, and Fragments of it.
 *
 * The hub knows the feeds by identity, and SharedFeeds: what all feeds share. LeaderDetector refuses and ends the streams
 * of clients that demand a leader, when there is none.
 *
 *   IdentityFeeds       the feeds of one identity, or of a circle: what clients' streams and subscribers call
 *     FeedPlacement       which feed serves a watcher, or whether one is started; FeedTable: the feeds by range;
 *                         CatchUps: those that lead to a feed; Beginnings: those that clients wait for before they are told;
 *                         PassedOver: those that are too far behind, and what was started instead
 *     IdentityUpstream    etcd, with the identity's token: IdentityProbes, where a watch starts and whether the client
 *                         may watch; MemberReleases, what progress responses of a member are worth
 *     Feed                one watch on etcd, and `applied`: up to where it has seen everything
 *       FeedIntake          what etcd brings, made into batches and handed to all that are on it; FeedGuard: what a fault there ends
 *                           Inbox: what it has not taken yet; Slices: huge responses are worked off in these
 *         FeedGap             what it missed while it had no watch on etcd
 *       FeedStream          its watch, asked for again when it is lost; Semaphore: few catch-ups begin at a time
 *         Ride                the watch, on a stream with others or alone: rides/rides.ts START HERE
 *                             ResponseAssembly: long responses, read while they come
 *       KnownStore          whether what it remembers is the past of the store that etcd has now
 *       Flow                whether it reads etcd: not while much lies unread
 *       ProgressClock       when its watchers are told how far it is; ProgressInterval: etcd's interval
 *       ProgressQuestions   asks etcd how far it is; RevisionWaiters: who wants to know
 *       History ─ Batch     what it remembers; HistoryBudget: the bound that all histories share; Selection: events that
 *                         go out as one response
 *       Cursors             its watchers: those that keep up in a WatcherIndex of Audiences, the others in LaggingWatchers;
 *                         MissedBatches: where those find something; Renderings: what of huge batches is made for them;
 *                         Moving: to the feed that they are to end on
 *       Subscribers         what lives on it and is no client's watcher
 *   Circles, Permits    who shares feeds that are not a client's own, and by whose leave: sharing/permits.ts START HERE
 *   Lingering           feeds that are not used now
 *   TurnVisits          how many watches begin in the past in one turn
 *   KeyRanges, LongKeys what clients name: in memory once, and within bounds
 *
 * Imports form no circle: a part declares what it needs of its owner (`CursorsOwner`, `FlowFeed`, ...), which the owner
 * implements.
 */

import { type Identity, TOKENLESS } from '../clients/identity.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import type { Feed } from './feed.ts';
import { IdentityFeeds } from './identity-feeds.ts';
import { SharedFeeds, type WatchHubOptions } from './shared-feeds.ts';
import { Circles, type CirclesOwner } from './sharing/circles.ts';
import { ClientSponsor, type Sponsor } from './sharing/sponsor.ts';
import type { WatchStats } from './stats.ts';

export type { WatchHubOptions } from './shared-feeds.ts';

export class WatchHub implements CirclesOwner {
  readonly shared: SharedFeeds;
  readonly stats: WatchStats;
  readonly circles: Circles;
  readonly #identities = new Map<string, IdentityFeeds>();
  readonly #onIdle = (feeds: IdentityFeeds): void => this.release(feeds);

  constructor(options: WatchHubOptions) {
    this.shared = new SharedFeeds(options, (now, ms) => {
      for (const feed of this.feeds()) feed.clock.look(now, ms);
    });
    this.stats = this.shared.stats;
    this.circles = new Circles(this.shared, options.sharing, this);
    this.shared.interval.start();
  }

  /** The feeds of an identity. */
  feedsOf(identity: Identity): IdentityFeeds {
    return this.feedsBy(identity.id, () => new ClientSponsor(this.shared, identity));
  }

  feedsBy(id: string, sponsor: () => Sponsor): IdentityFeeds {
    let feeds = this.#identities.get(id);
    if (feeds === undefined) {
      feeds = new IdentityFeeds(this.shared, sponsor(), this.#onIdle);
      this.#identities.set(id, feeds);
    }
    return feeds;
  }

  existing(id: string): IdentityFeeds | undefined {
    return this.#identities.get(id);
  }

  /** Those of who shows no token. */
  get nobodys(): IdentityFeeds {
    return this.feedsOf(TOKENLESS);
  }

  /** Forgets an identity that nothing is left of. */
  release(feeds: IdentityFeeds): void {
    if (feeds.idle && this.#identities.get(feeds.identity.id) === feeds)
      this.#identities.delete(feeds.identity.id);
  }

  /** Every feed of every identity. */
  *feeds(): Iterable<Feed> {
    for (const { feeds } of this.#identities.values()) yield* feeds;
  }

  /** See {@link SharedFeeds.unary}. */
  unary(method: Method, metadata: Metadata, request: Uint8Array): Promise<Uint8Array> {
    return this.shared.unary(method, metadata, request);
  }

  /** Ends every feed. Client streams are ended by the doors that they came through. */
  close(): void {
    this.shared.interval.stop();
    this.shared.permits.close();
    for (const identity of [...this.#identities.values()]) identity.close();
  }
}
