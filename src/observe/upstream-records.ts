/**
 * What happens between the proxy and etcd: latency by method, retries, connections. Also the log lines of
 * endpoints that come and go, of each kind one a second, and of attempts that failed, of each cause one a minute; with the
 * number left out.
 */
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';
import type { Endpoint } from '../net/endpoint.ts';
import type { Method } from '../rpc/method.ts';
import { CODE_NAMES } from '../rpc/status.ts';
import type { UpstreamObserver } from '../upstream/call-environment.ts';
import type { SwitchReason } from '../upstream/choice-owner.ts';
import type { PoolObserver } from '../upstream/pool-observer.ts';
import type { Logger, ProgramLog } from './log.ts';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Seconds; half a millisecond doubled fourteen times, to 8 s. */
const BUCKETS = Array.from({ length: 15 }, (_, i) => 0.0005 * 2 ** i);

/** What is said of switches that nothing went wrong for. */
const SWITCHED: Readonly<Record<Exclude<SwitchReason, 'unserving'>, string>> = {
  removed: 'the endpoint in use is not in the list any more, another one serves',
  redrawn: 'the choice among endpoints was made anew',
};

/** Counts and logs what the cluster client reports. */
export class UpstreamRecords implements UpstreamObserver, PoolObserver {
  readonly #log: Logger;
  readonly #faults: ProgramLog['faults'];
  readonly #latency: Histogram<'grpc_service' | 'grpc_method'>;
  readonly #timers = new Map<string, { observe(seconds: number): void }>();
  readonly #errors: Counter<'grpc_code'>;
  readonly #retries: Counter;
  readonly #connects: Counter;
  readonly #dialFailures: Counter;
  readonly #circles: Counter;
  readonly #losses: Counter;
  readonly #switches: Counter<'reason'>;
  readonly #asked: Counter<'verdict'>;
  readonly #rejected: Counter;
  readonly #noStream: Counter<'traffic'>;
  readonly #limits: Counter<'limit'>;
  readonly #connections: Gauge;
  readonly #throttles = new Throttles(1000);
  /** Attempts fail for as long as etcd is away. */
  readonly #failures = new Throttles(QUIET_MS);

  constructor(registry: Registry, { logger, faults }: ProgramLog) {
    const registers = [registry];
    this.#log = logger;
    this.#faults = faults;
    this.#latency = new Histogram({
      name: 'etcd_proxy_upstream_request_duration_seconds',
      help: 'Time from sending a unary call to etcd to its answer, in seconds, by method.',
      labelNames: ['grpc_service', 'grpc_method'],
      buckets: BUCKETS,
      registers,
    });
    this.#errors = new Counter({
      name: 'etcd_proxy_upstream_errors_total',
      help: 'Unary calls to etcd that ended with a code other than OK.',
      labelNames: ['grpc_code'],
      registers,
    });
    const counter = (name: string, help: string) =>
      new Counter({ name: `etcd_proxy_upstream_${name}_total`, help, registers });
    this.#retries = counter('retries', 'Calls sent to etcd again after a connection failed.');
    this.#connects = counter('connects', 'Connections to etcd that were established.');
    this.#dialFailures = counter('dial_failures', 'Attempts to connect to etcd that failed.');
    this.#circles = counter('circles', 'Times an endpoint was found to lead back to this proxy.');
    this.#losses = counter('connections_lost', 'Connections to etcd that ended.');
    this.#switches = new Counter({
      name: 'etcd_proxy_upstream_switches_total',
      help: 'Changes to another connection while the one in use was up, by the reason.',
      labelNames: ['reason'],
      registers,
    });
    // From the start, so that the first one is seen as an increase.
    for (const reason of ['unserving', ...Object.keys(SWITCHED)]) this.#switches.inc({ reason }, 0);
    this.#asked = new Counter({
      name: 'etcd_proxy_upstream_surveys_total',
      help: 'Times endpoints were asked whether they serve, by what came of it.',
      labelNames: ['verdict'],
      registers,
    });
    this.#rejected = counter(
      'waiting_rejected',
      'Calls turned away because --max-waiting-calls were waiting for a connection.',
    );
    this.#noStream = new Counter({
      name: 'etcd_proxy_upstream_no_stream_total',
      help: 'Calls that failed because etcd allows no more streams, by what they may share connections with.',
      labelNames: ['traffic'],
      registers,
    });
    this.#limits = new Counter({
      name: 'etcd_proxy_upstream_http2_limits_total',
      help: 'Bounds of the HTTP/2 engine reached by etcd, by the name of the setting.',
      labelNames: ['limit'],
      registers,
    });
    this.#connections = new Gauge({
      name: 'etcd_proxy_upstream_connections',
      help: 'Connections to etcd now open.',
      registers,
    });
  }

  onAnswered(method: Method, code: number, ms: number): void {
    let timer = this.#timers.get(method.path);
    if (timer === undefined) {
      timer = this.#latency.labels({ grpc_service: method.service, grpc_method: method.name });
      this.#timers.set(method.path, timer);
    }
    timer.observe(ms / 1000);
    if (code !== 0) this.#errors.inc({ grpc_code: CODE_NAMES[code] ?? 'Unknown' });
  }

  onRetried(): void {
    this.#retries.inc();
  }

  onConnected(endpoint: Endpoint): void {
    this.#connects.inc();
    this.#connections.inc();
    this.#throttles.line(`connected ${endpoint.name}`, (suppressed) =>
      this.#log.info({ suppressed, endpoint: endpoint.name }, 'connected to etcd'),
    );
  }

  onLost(endpoint: Endpoint, cause: string): void {
    this.#losses.inc();
    this.#connections.dec();
    this.#throttles.line(`lost ${endpoint.name}`, (suppressed) =>
      this.#log.warn({ suppressed, endpoint: endpoint.name, cause }, 'lost the connection to etcd'),
    );
  }

  onClosed(): void {
    this.#connections.dec();
  }

  onSwitched(from: Endpoint, to: Endpoint, reason: SwitchReason): void {
    this.#switches.inc({ reason });
    const line = { from: from.name, to: to.name };
    if (reason === 'unserving') this.#log.warn(line, 'the endpoint in use does not serve, another one does');
    else this.#log.info(line, SWITCHED[reason]);
  }

  onAsked(verdict: string): void {
    this.#asked.inc({ verdict });
  }

  onDialFailed(cause: string, leadsBack: boolean): void {
    this.#dialFailures.inc();
    if (leadsBack) {
      this.#circles.inc();
      this.#failures.line(`leads back ${cause}`, (suppressed) =>
        this.#log.error({ cause, suppressed }, 'an endpoint that leads back to this proxy is not used'),
      );
      return;
    }
    this.#failures.line(`failed ${cause}`, (suppressed) =>
      this.#log.warn({ cause, suppressed }, 'could not connect to etcd'),
    );
  }

  onWaitingFull(): void {
    this.#rejected.inc();
  }

  onNoStream(traffic: string): void {
    this.#noStream.inc({ traffic });
  }

  onLimit(limit: string): void {
    this.#limits.inc({ limit });
  }

  onFault(error: unknown): void {
    this.#faults.report(error);
  }
}
