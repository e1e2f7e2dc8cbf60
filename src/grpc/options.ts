/** What the gRPC door needs. */
import type { Services } from '../rpc/contract.ts';
import type { CallObserver } from '../rpc/observer.ts';
import type { ReceiveLimits } from './envelope.ts';
import type { ReplyLines } from './reply-lines.ts';

/** What the gRPC door needs. */
export interface GrpcServerOptions {
  readonly services: Services;
  readonly receive: ReceiveLimits;
  /** Calls that have come through this process before are refused. */
  readonly refusesOwn?: boolean;
  /** Where large replies wait for their clients. */
  readonly replies: ReplyLines;
  readonly observer: CallObserver;
}
