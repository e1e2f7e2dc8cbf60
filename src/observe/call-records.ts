/**
 * Counts of the calls of clients, under the names that Go's gRPC middleware gives them in etcd and its proxy, and the
 * log of replies that were malformed. A call adds to plain numbers; they become series only when somebody scrapes.
 */
import { Counter, type Registry } from '@prometheus-io/client';
import type { Method } from '../rpc/method.ts';
import type { CallObserver, ObservedCall } from '../rpc/observer.ts';
import { CODE_NAMES } from '../rpc/status.ts';
import type { Faults } from './faults.ts';
import { clientFields, type Logger, type ProgramLog } from './log.ts';
import { exposeCounter } from './readings.ts';
import { QUIET_MS, Throttle } from './throttle.ts';

/** The counts of one method. */
class Tally {
  readonly labels: Readonly<Record<'grpc_type' | 'grpc_service' | 'grpc_method', string>>;
  started = 0;
  received = 0;
  sent = 0;
  readonly handled: number[] = new Array<number>(CODE_NAMES.length).fill(0);

  constructor(method: Method) {
    this.labels = { grpc_type: method.kind, grpc_service: method.service, grpc_method: method.name };
  }
}

const LABELS = ['grpc_type', 'grpc_service', 'grpc_method'] as const;

/** Counts what every door reports, and logs what is wrong. */
export class CallRecords implements CallObserver {
  readonly #tallies = new Map<string, Tally>();
  readonly #faults: Faults;
  readonly #log: Logger;
  readonly #malformedLine = new Throttle(QUIET_MS);
  #malformed = 0;

  /** @param methods the known methods, whose series exist from the start, as in etcd */
  constructor(registry: Registry, methods: Iterable<Method>, { logger, faults }: ProgramLog) {
    this.#log = logger;
    this.#faults = faults;
    for (const method of methods) this.#tally(method);
    this.#expose(
      registry,
      'started_total',
      'Total number of RPCs started on the server.',
      (tally) => tally.started,
    );
    this.#expose(
      registry,
      'msg_received_total',
      'Total number of RPC stream messages received on the server.',
      (tally) => tally.received,
    );
    this.#expose(
      registry,
      'msg_sent_total',
      'Total number of gRPC stream messages sent by the server.',
      (tally) => tally.sent,
    );
    this.#exposeHandled(registry);
    const malformed = 'Replies of etcd, for web clients, that were no messages of their methods.';
    exposeCounter(registry, 'etcd_proxy_malformed_replies_total', malformed, () => this.#malformed);
  }

  onStarted({ method }: ObservedCall): void {
    this.#tally(method).started++;
  }

  onReceived({ method }: ObservedCall): void {
    this.#tally(method).received++;
  }

  onSent({ method }: ObservedCall): void {
    this.#tally(method).sent++;
  }

  onHandled({ method }: ObservedCall, code: number): void {
    const { handled } = this.#tally(method);
    const index = code < handled.length ? code : 2; // a code nobody knows counts as Unknown
    handled[index] = (handled[index] as number) + 1;
  }

  onMalformedReply(call: ObservedCall): void {
    this.#malformed++;
    this.#malformedLine.line((suppressed) => {
      this.#log.warn({ ...callFields(call), suppressed }, 'etcd sent a malformed reply');
    });
  }

  onFault(error: unknown, call?: ObservedCall): void {
    this.#faults.report(error, call && callFields(call));
  }

  #tally(method: Method): Tally {
    const key = method.service === 'unknown' ? 'unknown' : method.path;
    let tally = this.#tallies.get(key);
    if (tally === undefined) {
      tally = new Tally(method);
      this.#tallies.set(key, tally);
    }
    return tally;
  }

  #expose(registry: Registry, name: string, help: string, value: (tally: Tally) => number): void {
    const tallies = this.#tallies;
    new Counter({
      name: `grpc_server_${name}`,
      help,
      labelNames: LABELS,
      registers: [registry],
      collect() {
        this.reset();
        for (const tally of tallies.values()) this.inc(tally.labels, value(tally));
      },
    });
  }

  #exposeHandled(registry: Registry): void {
    const tallies = this.#tallies;
    new Counter({
      name: 'grpc_server_handled_total',
      help: 'Total number of RPCs completed on the server, regardless of success or failure.',
      labelNames: [...LABELS, 'grpc_code'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const tally of tallies.values()) {
          tally.handled.forEach((count, code) => {
            if (count > 0) this.inc({ ...tally.labels, grpc_code: CODE_NAMES[code] as string }, count);
          });
        }
      },
    });
  }
}

/** How a line names a call. */
function callFields({ method, client }: ObservedCall) {
  return { method: method.path, ...clientFields(client) };
}
