/** Who hears of connections to etcd. */
import type { Endpoint } from '../net/endpoint.ts';
import type { SwitchReason } from './choice-owner.ts';
import type { Verdict } from './survey-plan.ts';
import type { Traffic } from './traffic.ts';

/** Is told of changes worth a log line or a count. */
export interface PoolObserver {
  onConnected(endpoint: Endpoint): void;
  onLost(endpoint: Endpoint, cause: string): void;
  /** A connection that was left for another one has closed. */
  onClosed(): void;
  /** Another connection is used from now on. */
  onSwitched(from: Endpoint, to: Endpoint, reason: SwitchReason): void;
  /** Endpoints were asked whether they serve; the kind of the verdict. */
  onAsked(verdict: Verdict['kind']): void;
  /** @param leadsBack whether it was connected, and leads back to this proxy */
  onDialFailed(cause: string, leadsBack: boolean): void;
  /** A call was turned away because `maxWaiting` calls were waiting. */
  onWaitingFull(): void;
  /** A call has waited in vain for one of the streams that its kind may take. */
  onNoStream(traffic: Traffic): void;
  /** A bound of the HTTP/2 settings was reached by etcd. */
  onLimit(limit: string): void;
  /** A fault of the program surfaced on a connection to etcd. */
  onFault(error: unknown): void;
}
