/**
 * Decides which endpoint is used, by whether it serves. Asks when nobody is in use, on evidence (calls stay unanswered, or
 * are refused for a reason that may be the member's), and now and then where clients only follow.
 */
import { setTimeout as schedule } from 'node:timers';
import type { Endpoint } from '../net/endpoint.ts';
import { Backoff } from '../rpc/backoff.ts';
import { type Accuser, Accusers } from './accusers.ts';
import type { Candidate } from './candidate.ts';
import type { ConnectionOwner, Dial } from './connection.ts';
import { EndpointOrder } from './endpoint-order.ts';
import { Quiet } from './quiet.ts';
import type { Route } from './route.ts';
import { follows, longUnheard, waits } from './routes.ts';
import { SILENT_MS, Silence } from './silence.ts';
import { Survey, type SurveyOwner } from './survey.ts';
import type { Verdict } from './survey-plan.ts';

/** Why another endpoint is used: the one before does not serve, or it is not in the list any more. */
export type SwitchReason = 'unserving' | 'removed';

/** What a choice is about, and who carries it out. */
export interface ChoiceOwner {
  /** The connections in use, all to one endpoint; empty while there is none. */
  readonly routes: readonly Route[];
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  /** From now on this one is used. @param reason why not the one before, if there is one in use */
  onChosen(candidate: Candidate, reason: SwitchReason): void;
  /** None is in use, and none could be connected; the next round follows after a while. @param cause where no dial has told */
  onNoneConnected(cause?: string): void;
  onDialFailed(cause: string): void;
  onAsked(verdict: Verdict['kind']): void;
}

/** Delays between rounds in which nobody could be connected. Milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 1500;
/** Milliseconds between trying one endpoint and the next; a failure starts the next at once. */
const STAGGER_MS = 250;
/** All endpoints are asked within this time, however many there are: a survey takes longer. Milliseconds. */
const SPREAD_MS = 750;
/** Milliseconds by which the endpoint in use is asked before the others when it leaves calls unanswered. */
const HEAD_START_MS = 100;
/** How often is asked while clients only follow, which gives no other sign. Milliseconds. */
const ROUTINE_MS = 3000;

export class Choice implements SurveyOwner {
  readonly #owner: ChoiceOwner;
  readonly #order = new EndpointOrder();
  readonly #silence: Silence;
  readonly #retries = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  /** While it lasts no survey starts, except while no endpoint is in use. */
  readonly #quiet = new Quiet();
  #survey: Survey | undefined;
  readonly #accusers = new Accusers();
  #retry: NodeJS.Timeout | undefined;
  #routine: NodeJS.Timeout | undefined;
  /** The id of the cluster that clients are served from. */
  #cluster: string | undefined;
  /** The one in use belongs to another cluster: a better one is looked for. */
  #foreign = false;
  #first = true;
  #closed = false;

  constructor(owner: ChoiceOwner) {
    this.#owner = owner;
    this.#silence = new Silence(
      () => Math.min(...owner.routes.map(({ unanswered }) => unanswered.since)),
      () => this.#reconsider(HEAD_START_MS, owner.routes.filter(waits)),
    );
  }

  /** Begins to look for one. */
  start(): void {
    this.#routine = setInterval(() => this.#look(), ROUTINE_MS).unref();
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
    else if (added && this.#retry !== undefined) {
      clearTimeout(this.#retry);
      this.#retry = undefined;
      this.#choose();
    }
  }

  /** All endpoints but one, the most promising first. */
  others(but: Endpoint | undefined): Endpoint[] {
    return this.#order.all().filter((endpoint) => endpoint !== but);
  }

  /** Whether the latest round failed and the next one has not begun. */
  get resting(): boolean {
    return this.#retry !== undefined;
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
    if (settled) this.#retries.reset();
    if (this.#survey !== undefined) this.#survey.onLostInUse();
    else if (settled) this.#choose(endpoint);
    else this.#retryLater(endpoint);
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
    clearTimeout(this.#retry);
    clearInterval(this.#routine);
    this.#silence.end();
    this.#survey?.cancel();
    this.#accusers.onJudged(false);
  }

  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial {
    return this.#owner.dial(endpoint, owner);
  }

  onDialFailed(endpoint: Endpoint, cause: string): void {
    this.#order.onFailed(endpoint);
    this.#owner.onDialFailed(cause);
  }

  onVerdict(verdict: Verdict): void {
    this.#survey = undefined;
    this.#owner.onAsked(verdict.kind);
    if (verdict.kind === 'use') this.#use(verdict.candidate, verdict.proven, verdict.cluster);
    else if (verdict.kind === 'stay') this.#stay(verdict.serves);
    else {
      this.#owner.onNoneConnected();
      this.#retryLater();
    }
    this.#accusers.onJudged(verdict.kind === 'use' || (verdict.kind === 'stay' && verdict.serves));
  }

  /** Looks for an endpoint while none is in use. */
  #choose(failed?: Endpoint): void {
    if (this.#order.size === 0) {
      this.#owner.onNoneConnected('no endpoint is known');
      this.#retryLater();
      return;
    }
    const alone = this.#order.size === 1;
    this.#survey = new Survey(
      {
        endpoints: this.#order.all(failed),
        cluster: this.#cluster,
        headStart: 0,
        stagger: this.#first ? 0 : STAGGER_MS,
        unasked: alone,
        vote: this.#first && !alone,
      },
      this,
    );
  }

  #retryLater(failed?: Endpoint): void {
    this.#retry = schedule(() => {
      this.#retry = undefined;
      this.#choose(failed);
    }, this.#retries.next());
  }

  /** A survey goes on with the endpoints that there are now. */
  #redirect(survey: Survey, route: Route | undefined): void {
    const alone = this.#order.size === 1;
    if (survey.unasked && !alone) {
      survey.cancel();
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
    const unwanted = this.#unwanted(routes[0]);
    if (unwanted || following.length > 0) this.#reconsider(unwanted ? 0 : SILENT_MS, following);
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
        headStart,
        stagger: headStart === 0 ? 0 : Math.min(STAGGER_MS, SPREAD_MS / this.#order.size),
        unasked: false,
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
    for (const { unanswered } of this.#owner.routes) unanswered.forgive();
  }

  #use(candidate: Candidate, proven: boolean, cluster: string | undefined): void {
    const [left] = this.#owner.routes;
    const reason = left !== undefined && this.#isRemoved(left) ? 'removed' : 'unserving';
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
    this.#owner.onChosen(candidate, reason);
  }
}
