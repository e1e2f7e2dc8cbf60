/**
 * Finds the endpoint to use: asks the one in use, if there is one, and the others, and comes to exactly one verdict. It
 * is for moving only when another one answers and the one in use does not; when nobody does, staying costs least.
 */

import type { Endpoint } from '../net/endpoint.ts';
import { Candidate, type CandidateState, causeOfCircle } from './candidate.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import { nearestOf, QUESTIONS } from './endpoint-pick.ts';
import { Patience } from './patience.ts';
import { Question, type QuestionAnswer } from './question.ts';
import type { Route } from './route.ts';
import type { SurveyPlan, Verdict } from './survey-plan.ts';
import { hasMajority, isForeign, mostVoted, votes } from './votes.ts';

/** What a survey needs and whom it tells. */
export interface SurveyOwner {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  /** An endpoint could not be connected, or leads back to this proxy. */
  onDialFailed(endpoint: Endpoint, cause: string, leadsBack: boolean): void;
  /** An endpoint serves, and has answered in so many milliseconds. */
  onMeasured(endpoint: Endpoint, ms: number): void;
  /** The end; candidates that are not to be used are closed already. */
  onVerdict(verdict: Verdict): void;
}

/** How long the endpoint in use may still take to answer once another one has answered. Milliseconds. */
const GRACE_MS = 500;
/**
 * If no endpoint has answered by then, none serves. Milliseconds from the first connection, or from the question to
 * the endpoint in use.
 */
const LIMIT_MS = 1000;
/** How long the only endpoint there is may take to answer before it is used all the same. Milliseconds. */
const ALONE_MS = 250;
/** How long other endpoints may still answer after the first answer, while the cluster is not known. Milliseconds. */
const VOTE_MS = 300;

export class Survey {
  readonly #plan: SurveyPlan;
  readonly #owner: SurveyOwner;
  #endpoints: readonly Endpoint[];
  #unasked: Endpoint[];
  #candidates: Candidate[] = [];
  #question: Question | undefined;
  /** Asks in place of the connection in use where that has no room for one more stream. */
  #standIn: Candidate | undefined;
  /** Whether the one in use can still answer. */
  #inUse: 'asked' | 'refuses' | 'gone';
  #stagger: Patience | undefined;
  #grace: Patience | undefined;
  #limit: Patience | undefined;
  #over = false;
  readonly #begunAt = performance.now();

  /** Begins to ask. The verdict never comes before the constructor has returned. */
  constructor(plan: SurveyPlan, owner: SurveyOwner) {
    this.#plan = plan;
    this.#owner = owner;
    this.#endpoints = plan.endpoints;
    this.#unasked = [...plan.endpoints];
    this.#inUse = plan.inUse === undefined ? 'gone' : plan.unwanted ? 'refuses' : 'asked';
    if (plan.inUse !== undefined) {
      if (!plan.unwanted) this.#askInUse(plan.inUse);
      this.#startLimit();
    }
    if (plan.headStart > 0) this.#askLater(plan.headStart);
    else this.#askNext();
  }

  /** The connection in use is lost; what it may still answer, as one does that goes away, is of no use. */
  onLostInUse(): void {
    if (this.#inUse === 'gone') return;
    this.#inUse = 'gone';
    this.#question?.cancel();
    this.#question = undefined;
    if (this.#candidates.length === 0) this.#askNext();
    this.#weigh();
  }

  /** There are other endpoints now: the new ones are asked too, and those that are gone no more. May end the survey. */
  follow(endpoints: readonly Endpoint[]): void {
    const now = new Set(endpoints);
    const gone = this.#candidates.filter(({ endpoint }) => !now.has(endpoint));
    this.#candidates = this.#candidates.filter(({ endpoint }) => now.has(endpoint));
    for (const candidate of gone) candidate.close();
    const asked = new Set(this.#candidates.map(({ endpoint }) => endpoint));
    this.#endpoints = endpoints;
    this.#unasked = endpoints.filter((endpoint) => !asked.has(endpoint));
    if (this.#stagger === undefined) this.#askNext();
    this.#weigh();
  }

  /** The endpoint in use is not in the list any more: its answer does not count. */
  onUnwanted(): void {
    if (this.#inUse !== 'asked') return;
    this.#question?.cancel();
    this.#question = undefined;
    this.#inUseRefuses();
  }

  /** Whether the endpoint that is asked is used whatever it answers. */
  get alone(): boolean {
    return this.#plan.alone;
  }

  /** Whether this is the connection on which the endpoint in use is asked. */
  asksOn(route: Route): boolean {
    return this.#plan.inUse === route;
  }

  /** Whether all are waited for, to take the nearest: in the beginning, when nothing is urgent yet. */
  get #compares(): boolean {
    return this.#plan.pick === 'nearest' && this.#plan.vote;
  }

  /** The others are asked now. */
  hurry(): void {
    if (this.#candidates.length === 0) this.#askNext();
  }

  /** Ends it without a verdict. */
  cancel(): void {
    this.#finish();
  }

  /**
   * Asks the endpoint in use. If its connection has no free stream, asks on a new connection: that tells streams that
   * are busy from streams that hang.
   */
  #askInUse(route: Route): void {
    if (route.connection.canOpenStream)
      this.#question = new Question(route, (reply) => this.#inUseReplied(reply));
    else
      this.#standIn = new Candidate(route.endpoint, {
        dial: (target, owner) => this.#owner.dial(target, owner),
        onStep: ({ state }) => this.#stoodIn(state),
      });
  }

  #stoodIn(state: CandidateState): void {
    if (this.#over || this.#inUse !== 'asked') return;
    if (state === 'serves') this.#end({ kind: 'stay', serves: true });
    else if (state === 'refuses' || state === 'failed') this.#inUseRefuses();
  }

  #askLater(ms: number): void {
    this.#stagger?.end();
    this.#stagger = new Patience(ms, () => {
      this.#stagger = undefined;
      this.#askNext();
    });
  }

  /** Asks the next endpoint, and plans for the one after it; all at once where there is nothing to wait for. */
  #askNext(): void {
    const endpoint = this.#unasked.shift();
    if (this.#over || endpoint === undefined) return;
    const { stagger } = this.#plan;
    if (stagger > 0) this.#askLater(stagger);
    this.#candidates.push(
      new Candidate(endpoint, {
        dial: (target, owner) => this.#owner.dial(target, owner),
        onStep: (candidate) => this.#step(candidate),
        questions: this.#compares ? QUESTIONS : 1,
      }),
    );
    if (stagger === 0) this.#askNext();
  }

  #step(candidate: Candidate): void {
    // A candidate that is closed may report itself as failed.
    if (this.#over || !this.#candidates.includes(candidate)) return;
    const { cluster } = this.#plan;
    if (candidate.state === 'failed' || candidate.isNoEtcd) {
      this.#owner.onDialFailed(candidate.endpoint, candidate.cause, candidate.leadsBack);
    } else if (candidate.state === 'connected') this.#startLimit();
    else if (candidate.state === 'serves') {
      this.#owner.onMeasured(candidate.endpoint, candidate.roundTripMs);
      if (isForeign(candidate, cluster)) candidate.disown();
    }
    if (candidate.state === 'failed' || candidate.state === 'refuses') this.#askNext();
    this.#weigh();
  }

  #inUseReplied(reply: QuestionAnswer): void {
    this.#question = undefined;
    if (reply.kind === 'serves') {
      this.#plan.inUse?.unanswered.onTakenIn(this.#begunAt);
      this.#end({ kind: 'stay', serves: true });
    } else if (reply.kind === 'leadsBack') this.#inUseLeadsBack();
    else this.#inUseRefuses();
  }

  #inUseLeadsBack(): void {
    const { endpoint } = this.#plan.inUse as Route;
    this.#owner.onDialFailed(endpoint, causeOfCircle(endpoint), true);
    this.onLostInUse();
  }

  #inUseRefuses(): void {
    if (this.#inUse === 'asked') this.#inUse = 'refuses';
    if (this.#candidates.length === 0) this.#askNext();
    this.#weigh();
  }

  #startLimit(): void {
    const ms = this.#plan.alone ? ALONE_MS : LIMIT_MS + this.#plan.headStart;
    this.#limit ??= new Patience(ms, () => this.#limitOver());
  }

  /** The limit is over. If an endpoint serves already, the end of the grace gives the verdict instead. */
  #limitOver(): void {
    if (this.#grace === undefined) this.#giveUp();
  }

  /** Is there a verdict? */
  #weigh(): void {
    if (this.#over) return;
    const { alone, vote } = this.#plan;
    const [only] = this.#candidates;
    const serving = this.#candidates.filter(({ state }) => state === 'serves');
    const settled = this.#unasked.length === 0 && this.#candidates.every(isSettled);
    if (alone && only !== undefined && hasAnswered(only)) this.#use(only, only.state === 'serves');
    else if (serving.length > 0) {
      if (this.#inUse === 'asked') this.#grace ??= new Patience(GRACE_MS, () => this.#useServing());
      else if (settled || (!this.#compares && (!vote || hasMajority(serving, this.#endpoints.length))))
        this.#useServing();
      else this.#grace ??= new Patience(VOTE_MS, () => this.#useServing());
    } else if (settled && this.#inUse !== 'asked') this.#giveUp();
  }

  #useServing(): void {
    this.#grace = undefined; // the candidate may fail during the grace; another one may then start a new one
    const serving = mostVoted(this.#candidates.filter(({ state }) => state === 'serves'));
    this.#use(this.#plan.pick === 'nearest' ? nearestOf(serving) : serving[0], true);
  }

  #use(candidate: Candidate | undefined, proven: boolean): void {
    if (candidate === undefined) this.#giveUp();
    else this.#end({ kind: 'use', candidate, proven, cluster: this.#clusterWith(candidate) });
  }

  /**
   * The cluster to serve from if this candidate is chosen. It changes only when most endpoints belong to the new one:
   * then the cluster was built anew.
   */
  #clusterWith(candidate: Candidate): string | undefined {
    const { cluster } = this.#plan;
    const most = votes(this.#candidates, candidate) * 2 > this.#endpoints.length;
    return isForeign(candidate, cluster) && !most ? cluster : (candidate.cluster ?? cluster);
  }

  #giveUp(): void {
    if (this.#inUse !== 'gone') {
      this.#end({ kind: 'stay', serves: false });
      return;
    }
    const [best] = this.#candidates
      .filter(({ connection, isNoEtcd }) => connection !== undefined && !isNoEtcd)
      .sort((a, b) => a.standing - b.standing);
    if (best !== undefined) this.#use(best, false);
    else if (this.#candidates.every(isUseless) && this.#unasked.length === 0) this.#end({ kind: 'none' });
    else this.#limit = undefined; // started anew when one is connected
  }

  #end(verdict: Verdict): void {
    if (this.#over) return;
    this.#finish(verdict.kind === 'use' ? verdict.candidate : undefined);
    this.#owner.onVerdict(verdict);
  }

  #finish(chosen?: Candidate): void {
    this.#over = true;
    this.#question?.cancel();
    this.#standIn?.close();
    for (const timer of [this.#stagger, this.#grace, this.#limit]) timer?.end();
    for (const candidate of this.#candidates) {
      if (candidate === chosen) candidate.release();
      else candidate.close();
    }
  }
}

function isSettled(candidate: Candidate): boolean {
  return candidate.state === 'failed' || hasAnswered(candidate);
}

function isUseless({ state, isNoEtcd }: Candidate): boolean {
  return state === 'failed' || isNoEtcd;
}

function hasAnswered({ state }: Candidate): boolean {
  return state === 'serves' || state === 'refuses';
}
