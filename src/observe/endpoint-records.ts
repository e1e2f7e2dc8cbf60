/** Where endpoints come from, in numbers and log lines: how many each source knows, how its looks go, and what is used. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { SourceObserver } from '../endpoints/found-endpoints.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { ProgramLog } from './log.ts';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Endpoints that a line of the log names; of more it tells the number. */
const MAX_NAMED = 20;

/** One line in this many milliseconds tells that a source has found another list. */
const CHANGES_MS = 1000;

/** Counts and logs. */
export class EndpointRecords implements SourceObserver {
  readonly #log: ProgramLog['logger'];
  readonly #faults: ProgramLog['faults'];
  readonly #used: Gauge;
  readonly #known: Gauge<'source'>;
  readonly #looks: Counter<'source' | 'result'>;
  readonly #leftOut: Counter;
  readonly #notKept: Counter;
  readonly #throttles = new Throttles(QUIET_MS);
  /** Of lists that are found: each change is worth a line, unless there is no end of them. */
  readonly #changes = new Throttles(CHANGES_MS);

  constructor(registry: Registry, { logger, faults }: ProgramLog) {
    const registers = [registry];
    this.#log = logger;
    this.#faults = faults;
    this.#used = new Gauge({
      name: 'etcd_proxy_endpoints',
      help: 'Endpoints of etcd among which the proxy chooses.',
      registers,
    });
    this.#known = new Gauge({
      name: 'etcd_proxy_endpoints_known',
      help: 'Endpoints that each source knows, by the flag that asks for it.',
      labelNames: ['source'],
      registers,
    });
    this.#looks = new Counter({
      name: 'etcd_proxy_endpoints_refreshes_total',
      help: 'Times that a source looked for endpoints, by the flag that asks for it and by result (ok or failed).',
      labelNames: ['source', 'result'],
      registers,
    });
    this.#leftOut = new Counter({
      name: 'etcd_proxy_endpoints_left_out_total',
      help: 'Endpoints that were found and are not used, each time that a list is made.',
      registers,
    });
    this.#notKept = new Counter({
      name: 'etcd_proxy_endpoints_not_kept_total',
      help: 'Times that the last good list could not be kept in --data-dir, or read from there.',
      registers,
    });
  }

  onFound(source: string, endpoints: readonly Endpoint[], changed: boolean): void {
    this.#looks.inc({ source, result: 'ok' });
    this.#known.set({ source }, endpoints.length);
    if (changed)
      this.#changes.line(source, (suppressed) =>
        this.#log.info({ source, ...named(endpoints), suppressed }, 'found endpoints'),
      );
  }

  onFailed(source: string, cause: string): void {
    this.#looks.inc({ source, result: 'failed' });
    this.#throttled(`failed ${source}`, (suppressed) =>
      this.#log.warn({ source, cause, suppressed }, 'could not look for endpoints'),
    );
  }

  onWaiting(source: string, members: number, size: number): void {
    this.#looks.inc({ source, result: 'ok' });
    this.#throttled(`waiting ${source} ${members} ${size}`, (suppressed) =>
      this.#log.info({ source, members, size, suppressed }, 'the cluster is not complete yet'),
    );
  }

  onLeftOut(count: number, reason: string): void {
    this.#leftOut.inc(count);
    this.#throttled(`left out ${reason}`, (suppressed) =>
      this.#log.warn({ count, reason, suppressed }, 'endpoints that were found are not used'),
    );
  }

  onUsed(endpoints: readonly Endpoint[], widened: boolean): void {
    this.#used.set(endpoints.length);
    if (widened)
      this.#throttled('widened', (suppressed) =>
        this.#log.warn(
          { ...named(endpoints), suppressed },
          'none of the endpoints that were found answers: all that are known are tried',
        ),
      );
  }

  onNotKept(cause: string): void {
    this.#notKept.inc();
    this.#throttled('not kept', (suppressed) =>
      this.#log.warn({ cause, suppressed }, 'the list of endpoints is not kept for the next start'),
    );
  }

  onFault(error: unknown): void {
    this.#faults.report(error);
  }

  #throttled(kind: string, write: (suppressed: number | undefined) => void): void {
    this.#throttles.line(kind, write);
  }
}

function named(endpoints: readonly Endpoint[]) {
  const names = endpoints.slice(0, MAX_NAMED).map(({ name }) => name);
  return { endpoints: names, more: endpoints.length > MAX_NAMED ? endpoints.length - MAX_NAMED : undefined };
}
