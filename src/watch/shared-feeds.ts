/** What the feeds of all identities share: the way to etcd, and the bounds on all of them together. */
import { demandingIdentityOf } from '../clients/identity.ts';
import type { Login } from '../clients/login.ts';
import { TokenUsers } from '../clients/token-users.ts';
import { KeyRanges } from '../etcd/key-ranges.ts';
import { KV, Watch } from '../etcd/methods.ts';
import type { Upstream } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { HeldBytes } from './held-bytes.ts';
import { HistoryBudget } from './history.ts';
import { LeaderDetector } from './leader-detector.ts';
import { Lingering } from './lingering.ts';
import { LongKeys } from './long-keys.ts';
import { ProgressInterval } from './progress-interval.ts';
import { ASSEMBLY_LIMITS, AssemblyBounds } from './response-assembly.ts';
import { Semaphore } from './semaphore.ts';
import { Permits, type RevisionSource } from './sharing/permits.ts';
import { Slices } from './slices.ts';
import { WatchStats } from './stats.ts';
import { TurnVisits } from './turn-visits.ts';

/** Who may share feeds, besides those who show the same token. */
export interface SharingOptions {
  /** The proxy's own user. */
  readonly login: Login;
  readonly revision: RevisionSource;
  /** How often etcd is asked again, in milliseconds; zero: never. */
  readonly reauthorize: number;
}

/** Where watches go, and the bounds of what is remembered of them. */
export interface WatchHubOptions {
  readonly upstream: Upstream;
  /** Bytes of all histories together. */
  readonly historyBytes: number;
  /** Revisions in the history of one feed. */
  readonly historyRevisions: number;
  /** Bytes of the largest revision that is taken. */
  readonly maxRevisionBytes: number;
  /** Responses of this size and above are split for clients that asked for that. */
  readonly fragmentBytes: number;
  /** Milliseconds for which a feed without watchers stays. */
  readonly linger: number;
  /** By whose leave clients share feeds; without it, each identity has its own. */
  readonly sharing?: SharingOptions;
  /** Reports a fault of the program; without it, it is an uncaught exception. */
  readonly onFault?: (error: unknown) => void;
}

/** A read of the member that watches are on: behind one address, another connection may be to another one. */
const WHERE_WATCHES_ARE: Method = { ...KV.Range, pace: 'following' };

/** Catch-ups that may wait for etcd's first answer at a time, and for how long, in milliseconds; others wait for that. */
const CATCH_UPS_AT_ONCE = 32;
const CATCH_UP_TURN_MS = 1000;

/** The same for watches that are put to etcd only to be refused. */
const RELAYS_AT_ONCE = 64;
const RELAY_TURN_MS = 5000;

/** Events held back of watches that move, in bytes; a watch that brings more moves later. */
const MOVES_BYTES = 16 << 20;
/** What is known of batches that hold something for watchers that are behind, in bytes; with more, they look for themselves. */
const MISSED_BYTES = 16 << 20;
/** Responses that wait behind a huge one of the same feed, in bytes; with more, all of them are taken at once. */
const WAITING_BYTES = 128 << 20;
/** Nothing is known of etcd's users. */
const UNKNOWN: RevisionSource = { current: async () => undefined };

/** How long one call of the proxy's own may take, in milliseconds. */
const CALL_MS = 5000;

export class SharedFeeds {
  readonly upstream: Upstream;
  /** Revisions that one feed may remember. */
  readonly historyRevisions: number;
  readonly fragmentBytes: number;
  readonly stats = new WatchStats();
  readonly ranges = new KeyRanges();
  readonly longKeys = new LongKeys();
  readonly budget: HistoryBudget;
  readonly assembly: AssemblyBounds;
  readonly lingering: Lingering;
  readonly interval: ProgressInterval;
  /** What is held back of watches that move. */
  readonly held = new HeldBytes(MOVES_BYTES, () => this.stats.limits.moves++);
  /** What is known of batches that watchers have missed. */
  readonly missed = new HeldBytes(MISSED_BYTES, () => this.stats.limits.missed++);
  /** What waits behind huge responses. */
  readonly waiting = new HeldBytes(WAITING_BYTES, () => this.stats.limits.waiting++);
  readonly slices = new Slices();
  /** What watches that begin in the past look through. */
  readonly visits = new TurnVisits((error) => this.onFault(error));
  readonly catchUpTurns = new Semaphore(CATCH_UPS_AT_ONCE, CATCH_UP_TURN_MS);
  readonly relayTurns = new Semaphore(RELAYS_AT_ONCE, RELAY_TURN_MS);
  readonly #report: (error: unknown) => void;
  readonly leader: LeaderDetector;
  /** By whose leave watchers ride on feeds that are not their client's own. */
  readonly permits: Permits;
  /** Whose the tokens are that the proxy saw being handed out. */
  readonly users = new TokenUsers();

  /** @param onInterval is called often enough to find feeds whose watchers have heard nothing for so many milliseconds */
  constructor(options: WatchHubOptions, onInterval: (now: number, ms: number) => void) {
    this.upstream = options.upstream;
    this.historyRevisions = options.historyRevisions;
    this.#report = options.onFault ?? surface;
    this.fragmentBytes = options.fragmentBytes;
    this.budget = new HistoryBudget(options.historyBytes);
    const limits = { ...ASSEMBLY_LIMITS, revision: options.maxRevisionBytes };
    this.assembly = new AssemblyBounds(limits, () => this.stats.limits.response_bytes++);
    this.lingering = new Lingering(options.linger, () => this.stats.limits.lingering++);
    this.interval = new ProgressInterval(onInterval);
    const { metadata } = demandingIdentityOf(NO_METADATA);
    this.leader = new LeaderDetector({
      read: (request) => this.unary(WHERE_WATCHES_ARE, metadata, request),
      open: (listener) =>
        this.upstream.stream(new OwnCall(Watch.Watch, metadata, Number.POSITIVE_INFINITY), listener),
    });
    this.permits = new Permits({
      read: (identity, request) => this.unary(KV.Range, identity, request),
      users: this.users,
      revision: options.sharing?.revision ?? UNKNOWN,
      intervalMs: options.sharing?.reauthorize ?? 0,
      onFault: (error) => this.onFault(error),
    });
  }

  /** A fault of the program, which whoever calls this answers by ending what it was about. */
  onFault(error: unknown): void {
    this.stats.faults++;
    this.#report(error);
  }

  /** Does one of several things none of which may keep the others from being done. */
  attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.onFault(error);
    }
  }

  /** Makes a call of the proxy's own, which ends in time. */
  async unary(method: Method, metadata: Metadata, request: Uint8Array): Promise<Uint8Array> {
    const call = new OwnCall(method, metadata, performance.now() + CALL_MS);
    return call.inTime(this.upstream.unary(request, call));
  }
}

/** A mistake of ours in one place is reported as an uncaught exception, and stops nothing else. */
function surface(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
