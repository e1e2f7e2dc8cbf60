/** Whom the doors tell of calls. */
import type { Method } from './method.ts';

/** Is told of every call, for metrics and the log. */
export interface CallObserver {
  started(method: Method): void;
  received(method: Method): void;
  sent(method: Method): void;
  /** The call is over, with this gRPC status code. */
  handled(method: Method, code: number): void;
  /** A reply of etcd was no message of its method. Only doors that have to read replies can tell. */
  malformedReply(method: Method): void;
  /** A fault of the program surfaced in a call; the client gets INTERNAL. */
  fault(error: unknown): void;
}
