/** What calls to etcd need and tell, whatever their kind. */
import type { ReceiveLimits } from '../grpc/envelope.ts';
import type { Method } from '../rpc/method.ts';
import type { Pool } from './pool.ts';

/** Is told of every unary call sent to etcd, for metrics. */
export interface UpstreamObserver {
  /** One attempt ended with this gRPC status code after this many milliseconds. */
  onAnswered(method: Method, code: number, ms: number): void;
  onRetried(method: Method): void;
}

/** What calls to etcd share. */
export interface CallEnvironment {
  readonly pool: Pool;
  readonly receive: ReceiveLimits;
  readonly observer: UpstreamObserver;
  /** How often a call may be sent, the first time included. */
  readonly maxAttempts: number;
}
