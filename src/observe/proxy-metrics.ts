/**
 * The proxy's own series: process and runtime, connections, and the names of the incumbent that dashboards know.
 */
import { Counter, collectDefaultMetrics, Gauge, type Registry } from '@prometheus-io/client';
import type { Http2DoorObserver } from '../listen/http2-door.ts';
import { type Logger, logFault } from './log.ts';

export class ProxyMetrics implements Http2DoorObserver {
  readonly #log: Logger;
  readonly #http2: Gauge;
  readonly #limits: Counter<'limit'>;
  readonly #silent: Counter;

  constructor(registry: Registry, log: Logger) {
    this.#log = log;
    const registers = [registry];
    collectDefaultMetrics({ register: registry });
    this.#http2 = new Gauge({
      name: 'etcd_proxy_http2_connections',
      help: 'HTTP/2 client connections now open.',
      registers,
    });
    this.#silent = new Counter({
      name: 'etcd_proxy_silent_connections_total',
      help: 'Connections closed because they sent nothing within --first-byte-timeout.',
      registers,
    });
    this.#limits = new Counter({
      name: 'etcd_proxy_http2_limits_total',
      help: 'Bounds of the HTTP/2 engine reached by clients, by the name of the setting.',
      labelNames: ['limit'],
      registers,
    });
  }

  http2Opened(): void {
    this.#http2.inc();
  }

  http2Closed(): void {
    this.#http2.dec();
  }

  http2Limit(limit: string): void {
    this.#limits.inc({ limit });
  }

  fault(error: unknown): void {
    logFault(this.#log, error);
  }

  silentConnection(): void {
    this.#silent.inc();
  }
}
