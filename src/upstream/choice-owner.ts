/** What a choice of an endpoint is told, and whom it tells. */
import type { Endpoint } from '../net/endpoint.ts';
import type { Candidate } from './candidate.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import type { EndpointPick } from './endpoint-pick.ts';
import type { Route } from './route.ts';
import type { Verdict } from './survey-plan.ts';

/** How endpoints that serve are chosen among. */
export interface ChoiceOptions {
  /** At random by default. */
  readonly pick?: EndpointPick;
  /** The time after which the choice is made anew, in milliseconds; 0, the default: never. */
  readonly shuffleInterval?: number;
}

/** Why another endpoint is used: the one before does not serve, is not in the list any more, or the choice was made anew. */
export type SwitchReason = 'unserving' | 'removed' | 'redrawn';

/** What a choice is about, and who carries it out. */
export interface ChoiceOwner {
  /** The connections in use, all to one endpoint; empty while there is none. */
  readonly routes: readonly Route[];
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  /** From now on this one is used. @param reason why not the one before, if there is one in use */
  onChosen(candidate: Candidate, reason: SwitchReason): void;
  /** None is in use, and none could be connected; the next round follows after a while. @param cause where no dial has told */
  onNoneConnected(cause?: string): void;
  /** The one in use leads back to this proxy: it is used no more. */
  abandon(): void;
  onDialFailed(cause: string, leadsBack: boolean): void;
  onAsked(verdict: Verdict['kind']): void;
}
