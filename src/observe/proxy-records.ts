/**
 * The proxy's own series: process and runtime, connections, and the names of the incumbent that dashboards know.
 * Also the log of bounds that clients reach and of faults on their connections.
 */
import { Counter, collectDefaultMetrics, Gauge, type Registry } from '@prometheus-io/client';
import type { Http2ConnectionsObserver } from '../listen/http2-connections.ts';
import type { Client } from '../rpc/client.ts';
import { clientFields, type Logger, type ProgramLog } from './log.ts';
import { exposeCounter } from './readings.ts';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Counts and logs what befalls the connections of clients. */
export class ProxyRecords implements Http2ConnectionsObserver {
  readonly #log: Logger;
  readonly #faults: ProgramLog['faults'];
  readonly #http2: Gauge;
  readonly #http1Limits: Counter<'limit'>;
  readonly #http2Limits: Counter<'limit'>;
  readonly #silent: Counter;
  /** By the bound that was reached. */
  readonly #throttles = new Throttles(QUIET_MS);

  constructor(registry: Registry, { logger, faults, sink }: ProgramLog) {
    this.#log = logger;
    this.#faults = faults;
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
    this.#http1Limits = new Counter({
      name: 'etcd_proxy_http1_limits_total',
      help: 'Bounds on HTTP/1.1 connections reached by clients, by the name of the setting.',
      labelNames: ['limit'],
      registers,
    });
    this.#http2Limits = new Counter({
      name: 'etcd_proxy_http2_limits_total',
      help: 'Bounds of the HTTP/2 engine reached by clients, by the name of the setting.',
      labelNames: ['limit'],
      registers,
    });
    const faultsHelp = 'Faults of the proxy, of which the log has one a minute for each place.';
    exposeCounter(registry, 'etcd_proxy_faults_total', faultsHelp, () => faults.count);
    const lostHelp = 'Lines of the log that could not be written.';
    exposeCounter(registry, 'etcd_proxy_log_lines_lost_total', lostHelp, () => sink.lost);
  }

  onHttp2Opened(): void {
    this.#http2.inc();
  }

  onHttp2Closed(): void {
    this.#http2.dec();
  }

  /** A bound on an HTTP/1.1 connection was reached by this client. */
  onHttp1Limit(limit: string, client: Client): void {
    this.#http1Limits.inc({ limit });
    this.#warn('HTTP/1.1', limit, client);
  }

  onHttp2Limit(limit: string, client: Client): void {
    this.#http2Limits.inc({ limit });
    this.#warn('HTTP/2', limit, client);
  }

  onFault(error: unknown, client: Client): void {
    this.#faults.report(error, clientFields(client));
  }

  onSilentConnection(): void {
    this.#silent.inc();
  }

  #warn(protocol: string, limit: string, client: Client): void {
    this.#throttles.line(`${protocol} ${limit}`, (suppressed) => {
      this.#log.warn(
        { limit, ...clientFields(client), suppressed },
        `a client has reached a bound of its ${protocol} connection`,
      );
    });
  }
}
