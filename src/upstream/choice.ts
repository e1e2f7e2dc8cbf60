/**
 * Decides which endpoint is used, by whether it serves. Asks when nobody is in use, on evidence (calls stay unanswered, or
 * are refused for a reason that may be the member's), and now and then where clients only follow.
 */
import type { Endpoint } from '../net/endpoint.ts';
import { type Accuser, Accusers } from './accusers.ts';
import type { Candidate } from './candidate.ts';
import type { ChoiceOptions, ChoiceOwner } from './choice-owner.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import { EndpointOrder } from './endpoint-order.ts';
import type { EndpointPick } from './endpoint-pick.ts';
import { Redraw, type RedrawOwner } from './redraw.ts';
import { Retry } from './retry.ts';
import type { Route } from './route.ts';
import { follows, longUnheard, waits } from './routes.ts';
import { SILENT_MS, SilenceDetector } from './silence-detector.ts';
import { Survey, type SurveyOwner } from './survey.ts';
import { SurveyPause } from './survey-pause.ts';
import type { Verdict } from './survey-plan.ts';

/** Milliseconds between trying one endpoint and the next; a failure starts the next at once. */
const STAGGER_MS = 250;
/** All endpoints are asked within this time, however many there are: a survey takes longer. Milliseconds. */
const SPREAD_MS = 750;
/** Milliseconds by which the endpoint in use is asked before the others when it leaves calls unanswered. */
const HEAD_START_MS = 100;
/** How often is asked while clients only follow, which gives no other sign. Milliseconds. */
const ROUTINE_MS = 3000;

export class Choice implements SurveyOwner, RedrawOwner {
  readonly #owner: ChoiceOwner;
  readonly #pick: EndpointPick;
  readonly #order: EndpointOrder;
  readonly #silence: SilenceDetector;
  readonly #retry = new Retry();
  readonly #redraw: Redraw;
  /** While it lasts no survey starts, except while no endpoint is in use. */
  readonly #quiet = new SurveyPause();
  #survey: Survey | undefined;
  readonly #accusers = new Accusers();
  #routine: NodeJS.Timeout | undefined;
  /** The id of the cluster that clients are served from. */
  #cluster: string | undefined;
  /** The one in use belongs to another cluster: a better one is looked for. */
  #foreign = false;
  /** The one in use was taken although it did not serve: one that does is looked for. */
  #makeshift = false;
  #first = true;
  #closed = false;

  constructor(owner: ChoiceOwner, { pick = 'random', shuffleInterval = 0 }: ChoiceOptions = {}) {
    this.#owner = owner;
    this.#pick = pick;
    this.#order = new EndpointOrder(pick);
    this.#redraw = new Redraw(this, this.#order, pick, shuffleInterval);
    this.#silence = new SilenceDetector(
      () => Math.min(...owner.routes.map(({ unanswered }) => unanswered.since)),
      () => this.#reconsider(HEAD_START_MS, owner.routes.filter(waits)),
    );
  }

  /** Begins to look for one. */
  start(): void {
    this.#routine = setInterval(() => this.#look(), ROUTINE_MS).unref();
    this.#redraw.start();
    this.#choose();
  }

  /** How many endpoints there are. */
  get size(): number {
    return this.#order.size;
  }

  /**
   * These are the endpoints from now on. One in use that is gone is left as soon as another one serves; if none does, it
   * is better than nothing.
   */
  follow(endpoints: readonly Endpoint[]): void {
    const [route] = this.#owner.routes;
    const added = this.#order.follow(endpoints, route?.endpoint);
    if (this.#survey !== undefined) this.#redirect(this.#survey, route);
    else if (this.#unwanted(route)) this.#reconsider(0, this.#owner.routes);
    else if (added && this.#retry.pending) {
      this.#retry.cancel();
      this.#choose();
    }
  }

  /** All endpoints but one, the most promising first. */
  others(but: Endpoint | undefined): Endpoint[] {
    return this.#order.all().filter((endpoint) => endpoint !== but);
  }

  /** Whether the latest round failed and the next one has not begun. */
  get resting(): boolean {
    return this.#retry.pending;
  }

  /** A call was sent to the endpoint in use whose answer is due soon. */
  heed(): void {
    this.#silence.heed();
  }

  /**
   * A call was refused by the endpoint in use for a reason that may be the member's: does another one serve?
   * @param route where it was refused
   */
  accuse(route: Route, accuser?: Accuser): void {
    if (this.#survey === undefined && this.#quiet.lasts) {
      accuser?.onJudged(false);
      return;
    }
    if (accuser !== undefined) this.#accusers.add(accuser);
    this.#reconsider(0, [route]);
  }

  /**
   * The last connection to the endpoint in use is lost.
   * @param settled it was of use for a while
   */
  onLost(endpoint: Endpoint, settled: boolean): void {
    this.#order.onFailed(endpoint);
    if (settled) this.#retry.reset();
    if (this.#survey !== undefined) this.#survey.onLostInUse();
    else if (settled) this.#choose(endpoint);
    else this.#retry.later(() => this.#choose(endpoint));
  }

  /** One of the connections to the endpoint in use is lost. The others may be dead as well, and quiet. */
  onThinned(route: Route): void {
    if (this.#survey?.asksOn(route)) {
      this.#survey.cancel();
      this.#survey = undefined;
    }
    this.#reconsider(HEAD_START_MS, this.#owner.routes);
  }

  /** Ends all of it. */
  close(): void {
    this.#closed = true;
    this.#retry.cancel();
    this.#redraw.close();
    clearInterval(this.#routine);
    this.#silence.end();
    this.#survey?.cancel();
    this.#accusers.onJudged(false);
  }

  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial {
    return this.#owner.dial(endpoint, owner);
  }

  onDialFailed(endpoint: Endpoint, cause: string, leadsBack: boolean): void {
    this.#order.onFailed(endpoint);
    this.#owner.onDialFailed(cause, leadsBack);
  }

  onMeasured(endpoint: Endpoint, ms: number): void {
    this.#order.onMeasured(endpoint, ms);
  }

  get settledOn(): Endpoint | undefined {
    return this.#survey === undefined ? this.#owner.routes[0]?.endpoint : undefined;
  }

  get cluster(): string | undefined {
    return this.#cluster;
  }

  onRedrawn(candidate: Candidate): void {
    this.#use(candidate, true, this.#cluster ?? candidate.cluster, 'redrawn');
  }

  onVerdict(verdict: Verdict): void {
    this.#survey = undefined;
    this.#owner.onAsked(verdict.kind);
    if (verdict.kind === 'use') this.#use(verdict.candidate, verdict.proven, verdict.cluster);
    else if (verdict.kind === 'stay') this.#stay(verdict.serves);
    else if (this.#owner.routes.length > 0) this.#owner.abandon();
    else {
      this.#owner.onNoneConnected();
      this.#retry.later(() => this.#choose());
    }
    this.#accusers.onJudged(verdict.kind === 'use' || (verdict.kind === 'stay' && verdict.serves));
  }

  /** Looks for an endpoint while none is in use. */
  #choose(failed?: Endpoint): void {
    if (this.#order.size === 0) {
      this.#owner.onNoneConnected('no endpoint is known');
      this.#retry.later(() => this.#choose());
      return;
    }
    const alone = this.#order.size === 1;
    this.#survey = new Survey(
      {
        endpoints: this.#order.all(failed),
        cluster: this.#cluster,
        pick: this.#pick,
        headStart: 0,
        stagger: this.#first ? 0 : STAGGER_MS,
        alone,
        vote: this.#first && !alone,
      },
      this,
    );
  }

  /** A survey goes on with the endpoints that there are now. */
  #redirect(survey: Survey, route: Route | undefined): void {
    const alone = this.#order.size === 1;
    if (survey.alone && !alone) {
      survey.cancel();
      this.#survey = undefined;
      this.#choose();
      return;
    }
    if (this.#unwanted(route)) survey.onUnwanted();
    // Its end may have come of that.
    this.#survey?.follow(this.#order.all(route?.endpoint));
  }

  /** Whether a better one is looked for, whatever this one says. */
  #unwanted(route: Route | undefined): boolean {
    return route !== undefined && (this.#foreign || this.#isRemoved(route));
  }

  #isRemoved({ endpoint }: Route): boolean {
    return this.#order.size > 0 && !this.#order.has(endpoint);
  }

  #look(): void {
    const { routes } = this.#owner;
    const following = routes.filter(follows);
    const wantsBetter = this.#unwanted(routes[0]) || (this.#makeshift && routes.length > 0);
    if (wantsBetter || following.length > 0) this.#reconsider(wantsBetter ? 0 : SILENT_MS, following);
  }

  /**
   * Asks whether the endpoint in use serves, and whether others do.
   * @param doubted the connections that give reason for it; one of them is asked on if it has a free stream
   */
  #reconsider(headStart: number, doubted: readonly Route[]): void {
    if (this.#survey !== undefined) {
      if (headStart === 0) this.#survey.hurry();
      return;
    }
    const { routes } = this.#owner;
    const open = [...longUnheard(doubted), ...routes].find(({ connection }) => connection.canOpenStream);
    const inUse = open ?? routes[0];
    if (inUse === undefined || this.#closed || (this.#quiet.lasts && !this.#isRemoved(inUse))) {
      this.#accusers.onJudged(false);
      return;
    }
    this.#survey = new Survey(
      {
        inUse,
        unwanted: this.#unwanted(inUse),
        endpoints: this.#order.all(inUse.endpoint),
        cluster: this.#cluster,
        pick: this.#pick,
        headStart,
        stagger: headStart === 0 ? 0 : Math.min(STAGGER_MS, SPREAD_MS / this.#order.size),
        alone: false,
        vote: false,
      },
      this,
    );
  }

  /** The one in use stays. */
  #stay(serves: boolean): void {
    this.#silence.forgive();
    this.#quiet.onStayed(serves);
    if (!serves) return;
    this.#makeshift = false;
    for (const { unanswered } of this.#owner.routes) unanswered.forgive();
  }

  #use(candidate: Candidate, proven: boolean, cluster: string | undefined, redrawn?: 'redrawn'): void {
    const [left] = this.#owner.routes;
    const reason = redrawn ?? (left !== undefined && this.#isRemoved(left) ? 'removed' : 'unserving');
    if (left !== undefined) this.#silence.forgive();
    if (left !== undefined && reason === 'unserving') {
      this.#order.onFailed(left.endpoint);
      this.#quiet.onSwitched();
    }
    if (proven) {
      this.#order.onServed(candidate.endpoint);
      this.#quiet.onServes();
    }
    this.#cluster = cluster;
    this.#foreign = candidate.cluster !== undefined && candidate.cluster !== cluster;
    this.#first = false;
    this.#makeshift = !proven;
    this.#owner.onChosen(candidate, reason);
  }
}
