/** Deadlines that no timer takes. */
import { parseTimeout } from '../../rpc/timeout.ts';
import { MAX_TIMER_MS } from '../../rpc/timer.ts';

/** Drops them from a request: Connect sets a timer, and would take such a deadline for one that has passed. */
export function dropLongDeadlines(headers: Headers): void {
  if (Number(headers.get('connect-timeout-ms')) > MAX_TIMER_MS) headers.delete('connect-timeout-ms');
  if ((parseTimeout(headers.get('grpc-timeout') ?? '') ?? 0) > MAX_TIMER_MS) headers.delete('grpc-timeout');
}
