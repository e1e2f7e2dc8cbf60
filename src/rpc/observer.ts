/** What observers of calls (metrics, log) are told by the doors. */
import type { Call } from './contract.ts';

/** The part of a call that observers may read: the rest may not exist yet. */
export type ObservedCall = Pick<Call, 'method' | 'client'>;

/** Is told of every call, for metrics and the log. */
export interface CallObserver {
  onStarted(call: ObservedCall): void;
  onReceived(call: ObservedCall): void;
  onSent(call: ObservedCall): void;
  /** The call is over, with this gRPC status code. */
  onHandled(call: ObservedCall, code: number): void;
  /** A reply of etcd was no message of its method. Only doors that have to read replies can tell. */
  onMalformedReply(call: ObservedCall): void;
  /** A fault of the program surfaced, in a call where one is given; its client gets INTERNAL. */
  onFault(error: unknown, call?: ObservedCall): void;
}
