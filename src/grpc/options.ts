/** What the gRPC door needs, and whom it tells. */
import type { Services } from '../rpc/contract.ts';
import type { Method } from '../rpc/method.ts';
import type { ReceiveLimits } from './envelope.ts';
import type { ReplyLines } from './reply-lines.ts';

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

/** What the gRPC door needs. */
export interface GrpcServerOptions {
  readonly services: Services;
  /** The method at a path; also for unknown ones. */
  readonly method: (path: string) => Method;
  readonly receive: ReceiveLimits;
  /** Where large replies wait for their clients. */
  readonly replies: ReplyLines;
  readonly observer: CallObserver;
}
