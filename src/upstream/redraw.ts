/**
 * Makes the choice anew now and then, so that a fleet of proxies spreads itself over the endpoints after one of them was
 * away, or finds the nearest one again. Who is drawn is asked first: the endpoint in use is left for one that serves only.
 */
import type { Endpoint } from '../net/endpoint.ts';
import { Candidate } from './candidate.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import type { EndpointOrder } from './endpoint-order.ts';
import { type EndpointPick, isNearer, nearestOf, QUESTIONS } from './endpoint-pick.ts';
import { Patience } from './patience.ts';
import { isForeign } from './votes.ts';

/** Who chooses. */
export interface RedrawOwner {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  /** The endpoint in use; undefined while there is none, or a survey is under way. */
  readonly settledOn: Endpoint | undefined;
  /** The id of the cluster that clients are served from, if it is known. */
  readonly cluster: string | undefined;
  /** This one serves, and is used from now on. */
  onRedrawn(candidate: Candidate): void;
}

/** So long may those who are asked take, connecting included. Milliseconds. */
const LIMIT_MS = 2000;

export class Redraw {
  readonly #owner: RedrawOwner;
  readonly #order: EndpointOrder;
  readonly #pick: EndpointPick;
  readonly #intervalMs: number;
  #candidates: Candidate[] = [];
  #timer: NodeJS.Timeout | undefined;
  #limit: Patience | undefined;

  /** @param intervalMs the time between two, on average: proxies that were started together soon differ; 0: never */
  constructor(owner: RedrawOwner, order: EndpointOrder, pick: EndpointPick, intervalMs: number) {
    this.#owner = owner;
    this.#order = order;
    this.#pick = pick;
    this.#intervalMs = intervalMs;
  }

  /** Begins to wait for the first one. */
  start(): void {
    if (this.#intervalMs === 0) return;
    this.#timer = setTimeout(() => this.#draw(), this.#intervalMs * (0.5 + Math.random())).unref();
  }

  /** Ends it. */
  close(): void {
    clearTimeout(this.#timer);
    this.#end();
  }

  #draw(): void {
    this.#candidates = this.#drawn().map(
      (endpoint) =>
        new Candidate(endpoint, {
          dial: (target, owner) => this.#owner.dial(target, owner),
          onStep: () => this.#step(),
          questions: this.#pick === 'nearest' ? QUESTIONS : 1,
        }),
    );
    if (this.#candidates.length === 0) this.start();
    else this.#limit = new Patience(LIMIT_MS, () => this.#decide());
  }

  #step(): void {
    const open = ({ state }: Candidate): boolean => state === 'dialing' || state === 'connected';
    if (this.#candidates.length > 0 && !this.#candidates.some(open)) this.#decide();
  }

  #decide(): void {
    const chosen = this.#chosen();
    this.#end(chosen);
    if (chosen !== undefined) this.#owner.onRedrawn(chosen);
    this.start();
  }

  /** Whom to ask: all where they are compared; nobody while there is something more urgent. */
  #drawn(): readonly Endpoint[] {
    const fit = this.#order.fit();
    const inUse = this.#owner.settledOn;
    if (inUse === undefined || fit.length < 2) return [];
    if (this.#pick === 'nearest') return fit;
    const drawn = fit[Math.floor(Math.random() * fit.length)] as Endpoint;
    return drawn === inUse ? [] : [drawn];
  }

  /** Who serves, and is to be used in place of the one in use. */
  #chosen(): Candidate | undefined {
    const inUse = this.#owner.settledOn;
    const serving = this.#candidates.filter(
      (candidate) =>
        candidate.state === 'serves' &&
        this.#order.has(candidate.endpoint) &&
        !isForeign(candidate, this.#owner.cluster),
    );
    const now = serving.find(({ endpoint }) => endpoint === inUse);
    const best = nearestOf(serving);
    if (inUse === undefined || best === undefined || best === now) return undefined;
    if (this.#pick === 'nearest' && (now === undefined || !isNearer(best, now))) return undefined;
    return best;
  }

  #end(chosen?: Candidate): void {
    this.#limit?.end();
    const candidates = this.#candidates;
    this.#candidates = [];
    for (const candidate of candidates) {
      if (candidate === chosen) candidate.release();
      else candidate.close();
    }
  }
}
