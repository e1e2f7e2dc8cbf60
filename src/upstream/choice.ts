/**
 * Decides which endpoint is used, by whether it serves. Asks when nobody is in use, on evidence (calls stay unanswered, or
 * are refused for a reason that may be the member's), and now and then where clients only follow.
 */
import { setTimeout as schedule } from 'node:timers';
import type { Endpoint } from '../net/endpoint.ts';
import { Backoff } from '../rpc/backoff.ts';
import type { Candidate } from './candidate.ts';
import type { ConnectionOwner, Dial } from './connection.ts';
import { EndpointOrder } from './endpoint-order.ts';
import type { Route } from './route.ts';
import { SILENT_MS, Silence } from './silence.ts';
import { Survey, type SurveyOwner, type Verdict } from './survey.ts';

/** What a choice is about, and who carries it out. */
export interface ChoiceOwner {
  /** The connections in use, all to one endpoint; empty while there is none. */
  readonly routes: readonly Route[];
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  /** From now on this one is used. */
  onChosen(candidate: Candidate): void;
  /** None is in use, and none could be connected; the next round follows after a while. */
  onNoneConnected(): void;
  onDialFailed(cause: string): void;
  onAsked(verdict: Verdict['kind']): void;
}

/** A call that etcd refused for a reason that may be the member's. */
export interface Accuser {
  /** `again`: an endpoint serves, perhaps the same one, so the call may be sent again. */
  onJudged(again: boolean): void;
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
/** For this long after the endpoint in use has answered, nothing said against it starts a survey. Milliseconds. */
const TRUST_MS = 250;
/** The pause after a survey in which no endpoint served, and after a switch. It grows each time. Milliseconds. */
const FIRST_QUIET_MS = 250;
/** The longest such pause while no endpoint serves: the first one that does must be found soon. Milliseconds. */
const LAST_UNSERVED_MS = 1500;
/** The longest such pause after a switch. Milliseconds. */
const LAST_QUIET_MS = 8000;
/** When the last switch is longer ago than this, the pause after a switch starts small again. Milliseconds. */
const LASTED_MS = 60_000;
/** How often is asked while clients only follow, which gives no other sign. Milliseconds. */
const ROUTINE_MS = 3000;

export class Choice implements SurveyOwner {
  readonly #owner: ChoiceOwner;
  readonly #order: EndpointOrder;
  readonly #silence: Silence;
  readonly #retries = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  readonly #unserved = new Backoff(FIRST_QUIET_MS, LAST_UNSERVED_MS);
  readonly #quiet = new Backoff(FIRST_QUIET_MS, LAST_QUIET_MS);
  #survey: Survey | undefined;
  #accusers: Accuser[] = [];
  #retry: NodeJS.Timeout | undefined;
  #routine: NodeJS.Timeout | undefined;
  /** No survey starts before this moment, except while no endpoint is in use. */
  #quietUntil = 0;
  /** The id of the cluster that clients are served from. */
  #cluster: string | undefined;
  /** The one in use belongs to another cluster: a better one is looked for. */
  #foreign = false;
  #first = true;
  #switchedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(endpoints: readonly Endpoint[], owner: ChoiceOwner) {
    this.#owner = owner;
    this.#order = new EndpointOrder(endpoints);
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
    if (this.#survey === undefined && performance.now() < this.#quietUntil) {
      accuser?.onJudged(false);
      return;
    }
    if (accuser !== undefined) this.#accusers.push(accuser);
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
    this.#judged(false);
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
    this.#judged(verdict.kind === 'use' || (verdict.kind === 'stay' && verdict.serves));
  }

  /** Looks for an endpoint while none is in use. */
  #choose(failed?: Endpoint): void {
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

  #look(): void {
    const following = this.#owner.routes.filter(follows);
    if (this.#foreign || following.length > 0) this.#reconsider(this.#foreign ? 0 : SILENT_MS, following);
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
    if (inUse === undefined || this.#closed || performance.now() < this.#quietUntil) {
      this.#judged(false);
      return;
    }
    this.#survey = new Survey(
      {
        inUse,
        foreign: this.#foreign,
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
    this.#keepQuiet(serves ? TRUST_MS : this.#unserved.next());
    if (!serves) return;
    this.#unserved.reset();
    for (const { unanswered } of this.#owner.routes) unanswered.forgive();
  }

  #use(candidate: Candidate, proven: boolean, cluster: string | undefined): void {
    const [left] = this.#owner.routes;
    const now = performance.now();
    if (left !== undefined) {
      if (now - this.#switchedAt > LASTED_MS) this.#quiet.reset();
      this.#switchedAt = now;
      this.#order.onFailed(left.endpoint);
      this.#keepQuiet(this.#quiet.next());
    }
    if (proven) {
      this.#order.onServed(candidate.endpoint);
      this.#unserved.reset();
    }
    this.#cluster = cluster;
    this.#foreign = candidate.cluster !== undefined && candidate.cluster !== cluster;
    this.#first = false;
    this.#owner.onChosen(candidate);
  }

  #keepQuiet(ms: number): void {
    this.#silence.forgive();
    this.#quietUntil = performance.now() + ms;
  }

  #judged(again: boolean): void {
    const accusers = this.#accusers;
    this.#accusers = [];
    for (const accuser of accusers) accuser.onJudged(again);
  }
}

/** The connections, the one first on which no answer has come for longest. */
function longUnheard(routes: readonly Route[]): Route[] {
  return [...routes].sort((a, b) => a.unanswered.takenIn - b.unanswered.takenIn);
}

function waits({ unanswered }: Route): boolean {
  return unanswered.since < Number.POSITIVE_INFINITY;
}

function follows({ lasting }: Route): boolean {
  return lasting.size > 0;
}
