/** Requests for etcd's v2 API, in the series of etcd's v2 proxy, which dashboards know. */
import { Counter, Histogram, type Registry } from '@prometheus-io/client';
import type { Dropped, V2Observer } from '../web/v2/options.ts';

/** Seconds; half a millisecond doubled twelve times, to 2 s. */
const BUCKETS = Array.from({ length: 13 }, (_, i) => 0.0005 * 2 ** i);

export class V2Metrics implements V2Observer {
  readonly #requests: Counter<'method'>;
  readonly #handled: Counter<'method' | 'code'>;
  readonly #dropped: Counter<'method' | 'proxying_error'>;
  readonly #durations: Histogram<'method'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'etcd_proxy_requests_total',
      help: "Requests for etcd's v2 API, by method.",
      labelNames: ['method'],
      registers,
    });
    this.#handled = new Counter({
      name: 'etcd_proxy_handled_total',
      help: "Requests for etcd's v2 API that an endpoint answered, by method and status.",
      labelNames: ['method', 'code'],
      registers,
    });
    this.#dropped = new Counter({
      name: 'etcd_proxy_dropped_total',
      help: "Requests for etcd's v2 API that one endpoint or all failed to answer, by method and reason.",
      labelNames: ['method', 'proxying_error'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'etcd_proxy_handling_duration_seconds',
      help: "Time until an endpoint begins to answer a request for etcd's v2 API, by method.",
      labelNames: ['method'],
      buckets: BUCKETS,
      registers,
    });
  }

  onRequest(method: string): void {
    this.#requests.inc({ method });
  }

  onHandled(method: string, status: number, seconds: number): void {
    this.#handled.inc({ method, code: String(status) });
    this.#durations.observe({ method }, seconds);
  }

  onDropped(method: string, why: Dropped): void {
    this.#dropped.inc({ method, proxying_error: why });
  }
}
