/**
 * START HERE. All sources of endpoints as the one that the pool follows:
 *
 *   --discovery-srv: SrvRecords ───────────────────────────────┐
 *   --initial-cluster: InitialCluster ──┐                      ├─▶ found ── none yet? ──▶ --endpoints
 *   --discovery: Discovery, DiscoveryV2 ┼─ seeds ─▶ Peers ─────┘    │
 *   --discovery-token: DiscoveryV3 ─────┘                           ▼
 *   --endpoints-auto-sync-interval: SyncedMembers, asked through what is in use, replaces what was found
 *
 * Each source keeps its last good list, and looks again by `Looking`. `docs/cluster.md` says what holds for users.
 */
import { type Endpoint, endpointKeyOf } from '../net/endpoint.ts';
import type { EndpointSource } from '../upstream/endpoint-source.ts';
import type { FoundEndpoints, SourceObserver } from './found-endpoints.ts';

/** The sources, as far as flags ask for them. */
export interface KnownOptions {
  /** What was written down; used while nothing is found, and when nobody of what was found answers. */
  readonly fixed: readonly Endpoint[];
  readonly found: readonly FoundEndpoints[];
  /** The members that the cluster tells of, which go before what was found. */
  readonly synced: FoundEndpoints | undefined;
  /** An endpoint with TLS decided by flags; undefined: they do not allow it. */
  decide(endpoint: Endpoint): Endpoint | undefined;
  /** The endpoint in use, if there is one. One that is in no list any more is used until another one answers. */
  inUse(): Endpoint | undefined;
  readonly observer: SourceObserver;
}

/** Endpoints that are followed; the pool asks all of them whether they serve when the one in use does not. */
export const MAX_ENDPOINTS = 100;

/** For this long nobody may answer before all that is known is tried. Milliseconds. */
const UNANSWERED_MS = 5000;
/** How often is looked whether anybody answers. Milliseconds. */
const WATCH_MS = 500;

export class KnownEndpoints implements EndpointSource {
  #endpoints: readonly Endpoint[] = [];
  readonly #options: KnownOptions;
  readonly #sources: readonly FoundEndpoints[];
  /** Of the latest choice, before it was widened. */
  #chosen: ReadonlySet<string>;
  /** Nobody of the latest choice has answered. */
  #widened = false;
  #unansweredSince = Number.POSITIVE_INFINITY;
  #watch: NodeJS.Timeout | undefined;
  #onChanged: () => void = () => {};

  constructor(options: KnownOptions) {
    const { found, synced } = options;
    this.#options = options;
    this.#sources = synced === undefined ? found : [...found, synced];
    const chosen = this.#choose();
    this.#chosen = keysOf(chosen);
    this.#endpoints = this.#usable(chosen);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  start(onChanged: () => void): void {
    this.#options.observer.onUsed(this.#endpoints, false);
    if (this.#sources.length === 0) return;
    for (const source of this.#sources) source.start(() => this.#refresh());
    this.#refresh();
    this.#watch = setInterval(() => this.#widen(), WATCH_MS).unref();
    // Not before, since nothing is told within this call: what a source knew at once is there when it returns.
    this.#onChanged = onChanged;
  }

  close(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
    this.#onChanged = () => {};
    for (const source of this.#sources) source.close();
  }

  /** What is to be used as long as somebody of it answers. */
  #choose(): readonly Endpoint[] {
    const synced = this.#allowed(this.#options.synced?.endpoints ?? []);
    return synced.length > 0 ? synced : this.#base();
  }

  /** What is known without the cluster's own word. */
  #base(): readonly Endpoint[] {
    const { found, fixed } = this.#options;
    const known = this.#allowed(found.flatMap(({ endpoints }) => endpoints));
    if (known.length > 0) return known;
    return found.every(({ looked }) => looked) ? fixed : [];
  }

  #refresh(): void {
    const chosen = this.#choose();
    const keys = keysOf(chosen);
    if (keys.symmetricDifference(this.#chosen).size > 0) {
      this.#chosen = keys;
      this.#widened = false;
      this.#unansweredSince = Number.POSITIVE_INFINITY;
    }
    this.#use(this.#widened ? this.#all(chosen) : chosen);
  }

  /** Takes all that is known where nobody of what was chosen answers. Until the choice is another one it stays so. */
  #widen(): void {
    if (this.#widened || this.#endpoints.length === 0) return;
    const now = performance.now();
    if (this.#isAnswered()) this.#unansweredSince = Number.POSITIVE_INFINITY;
    else this.#unansweredSince = Math.min(now, this.#unansweredSince);
    if (now - this.#unansweredSince < UNANSWERED_MS) return;
    this.#widened = true;
    this.#use(this.#all(this.#choose()));
  }

  #isAnswered(): boolean {
    const inUse = this.#options.inUse();
    if (inUse === undefined) return false;
    return this.#endpoints.some((endpoint) => endpointKeyOf(endpoint) === endpointKeyOf(inUse));
  }

  #all(chosen: readonly Endpoint[]): readonly Endpoint[] {
    // Those that answer nothing come last: there may be more than are followed.
    return [...this.#options.fixed, ...this.#base(), ...chosen];
  }

  #use(endpoints: readonly Endpoint[]): void {
    const usable = this.#usable(endpoints);
    const before = keysOf(this.#endpoints);
    if (before.symmetricDifference(keysOf(usable)).size === 0) return;
    this.#endpoints = usable;
    this.#options.observer.onUsed(usable, this.#widened);
    this.#onChanged();
  }

  /** With TLS decided, those that flags do not allow left out. */
  #allowed(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const allowed = endpoints.flatMap((endpoint) => this.#options.decide(endpoint) ?? []);
    this.#leaveOut(endpoints.length - allowed.length, '--insecure-transport=false asks for TLS');
    return allowed;
  }

  /** Each once, within the bound; one that was there before stays the same object. */
  #usable(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const before = new Map(this.#endpoints.map((endpoint) => [endpointKeyOf(endpoint), endpoint]));
    const usable = new Map<string, Endpoint>();
    for (const endpoint of endpoints) {
      const key = endpointKeyOf(endpoint);
      if (!usable.has(key)) usable.set(key, before.get(key) ?? endpoint);
    }
    return this.#bounded([...usable.values()]);
  }

  /** Where there are too many, those stay that are followed: name servers tell the same list in another order each time. */
  #bounded(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const tooMany = endpoints.length - MAX_ENDPOINTS;
    if (tooMany <= 0) return endpoints;
    this.#leaveOut(tooMany, `only ${MAX_ENDPOINTS} endpoints are followed`);
    const followed = new Set(this.#widened ? [] : this.#endpoints);
    const first = endpoints.filter((endpoint) => followed.has(endpoint));
    const others = endpoints.filter((endpoint) => !followed.has(endpoint));
    return [...first, ...others].slice(0, MAX_ENDPOINTS);
  }

  #leaveOut(count: number, reason: string): void {
    if (count > 0) this.#options.observer.onLeftOut(count, reason);
  }
}

function keysOf(endpoints: readonly Endpoint[]): ReadonlySet<string> {
  return new Set(endpoints.map(endpointKeyOf));
}
