/** How a survey is made, and what may come of it. */
import type { Endpoint } from '../net/endpoint.ts';
import type { Candidate } from './candidate.ts';
import type { EndpointPick } from './endpoint-pick.ts';
import type { Route } from './route.ts';

/** What came of it. */
export type Verdict =
  /**
   * This one is to be used. `proven`: it serves; otherwise nobody does, and this one is at least there. `cluster` is the id
   * of the cluster that is meant from now on.
   */
  | {
      readonly kind: 'use';
      readonly candidate: Candidate;
      readonly proven: boolean;
      readonly cluster: string | undefined;
    }
  /** The one in use stays: it serves, or nobody does. */
  | { readonly kind: 'stay'; readonly serves: boolean }
  /** None can be connected, and there is none in use, or it leads back to this proxy. */
  | { readonly kind: 'none' };

/** How the question is put. */
export interface SurveyPlan {
  /** The one in use. */
  readonly inUse?: Route | undefined;
  /** Its answer does not count: it is of another cluster, taken for want of a better one, or not in the list any more. */
  readonly unwanted?: boolean;
  /** Whom to ask besides, the most promising first. */
  readonly endpoints: readonly Endpoint[];
  /** The id of the cluster that clients have been served from; members of another one are for the last resort. */
  readonly cluster: string | undefined;
  /** Milliseconds by which the endpoint in use is asked before the others. */
  readonly headStart: number;
  /** Milliseconds between asking one of the others and the next; a failure or a refusal asks the next at once. */
  readonly stagger: number;
  /** There is only one: it is used whatever it answers, unless it leads back to this proxy. */
  readonly alone: boolean;
  /** Which of several that serve is used. */
  readonly pick: EndpointPick;
  /** The cluster is not known yet: the one that most endpoints belong to is meant. */
  readonly vote: boolean;
}
