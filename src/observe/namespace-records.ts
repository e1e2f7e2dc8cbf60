/**
 * What the clients of each namespace do, where there are namespaces, in families of their own: the series that count all
 * clients together are the same with and without.
 */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { Http2ConnectionsObserver } from '../listen/http2-connections.ts';
import type { IsolationStats } from '../namespace/isolation-stats.ts';
import type { Client } from '../rpc/client.ts';
import type { CallObserver, ObservedCall } from '../rpc/observer.ts';
import { CODE_NAMES } from '../rpc/status.ts';

/** The counts of a namespace. */
class Tally {
  started = 0;
  connections = 0;
  readonly handled = new Array<number>(CODE_NAMES.length).fill(0);
}

/** Who is told of the same things as without namespaces. */
interface Others {
  readonly calls: CallObserver;
  readonly connections: Http2ConnectionsObserver;
}

/** Stands before those who count all clients together, and tells them everything. */
export class NamespaceRecords implements CallObserver, Http2ConnectionsObserver {
  readonly #others: Others;
  readonly #tallies: ReadonlyMap<string, Tally>;

  /** @param namespaces by their names, with what is kept from their clients */
  constructor(registry: Registry, namespaces: ReadonlyMap<string, IsolationStats>, others: Others) {
    this.#others = others;
    this.#tallies = new Map([...namespaces.keys()].map((name) => [name, new Tally()]));
    this.#exposeCalls(registry);
    this.#exposeConnections(registry);
    exposeIsolation(registry, namespaces);
  }

  onStarted(call: ObservedCall): void {
    this.#others.calls.onStarted(call);
    const tally = this.#tallies.get(call.client.namespace);
    if (tally !== undefined) tally.started++;
  }

  onReceived(call: ObservedCall): void {
    this.#others.calls.onReceived(call);
  }

  onSent(call: ObservedCall): void {
    this.#others.calls.onSent(call);
  }

  onHandled(call: ObservedCall, code: number): void {
    this.#others.calls.onHandled(call, code);
    const handled = this.#tallies.get(call.client.namespace)?.handled;
    if (handled === undefined) return;
    const index = code < handled.length ? code : 2; // a code nobody knows counts as Unknown
    handled[index] = (handled[index] as number) + 1;
  }

  onMalformedReply(call: ObservedCall): void {
    this.#others.calls.onMalformedReply(call);
  }

  onHttp2Opened(client: Client): void {
    this.#others.connections.onHttp2Opened(client);
    const tally = this.#tallies.get(client.namespace);
    if (tally !== undefined) tally.connections++;
  }

  onHttp2Closed(client: Client): void {
    this.#others.connections.onHttp2Closed(client);
    const tally = this.#tallies.get(client.namespace);
    if (tally !== undefined) tally.connections--;
  }

  onHttp2Limit(limit: string, client: Client): void {
    this.#others.connections.onHttp2Limit(limit, client);
  }

  /** In a call or on a connection. */
  onFault(error: unknown, where?: ObservedCall | Client): void {
    if (where !== undefined && 'address' in where) this.#others.connections.onFault(error, where);
    else this.#others.calls.onFault(error, where);
  }

  #exposeCalls(registry: Registry): void {
    const tallies = this.#tallies;
    const registers = [registry];
    new Counter({
      name: 'etcd_proxy_namespace_started_total',
      help: 'RPCs started by clients of a namespace.',
      labelNames: ['namespace'] as const,
      registers,
      collect() {
        this.reset();
        for (const [namespace, { started }] of tallies) this.inc({ namespace }, started);
      },
    });
    new Counter({
      name: 'etcd_proxy_namespace_handled_total',
      help: 'RPCs completed for clients of a namespace, by how they ended.',
      labelNames: ['namespace', 'grpc_code'] as const,
      registers,
      collect() {
        this.reset();
        for (const [namespace, { handled }] of tallies)
          handled.forEach((count, code) => {
            if (count > 0) this.inc({ namespace, grpc_code: CODE_NAMES[code] as string }, count);
          });
      },
    });
  }

  #exposeConnections(registry: Registry): void {
    const tallies = this.#tallies;
    new Gauge({
      name: 'etcd_proxy_namespace_http2_connections',
      help: 'HTTP/2 connections of clients of a namespace now open.',
      labelNames: ['namespace'] as const,
      registers: [registry],
      collect() {
        for (const [namespace, { connections }] of tallies) this.set({ namespace }, connections);
      },
    });
  }
}

function exposeIsolation(registry: Registry, namespaces: ReadonlyMap<string, IsolationStats>): void {
  new Counter({
    name: 'etcd_proxy_namespace_refused_total',
    help: 'Requests that reached beyond an isolated namespace: by a method, the id wanted for a lease, a lease of elsewhere, or too many fields to look for that.',
    labelNames: ['namespace', 'reason'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const [namespace, { refusedMethods, refusedIds, refusedFields, hidden }] of namespaces) {
        this.inc({ namespace, reason: 'method' }, refusedMethods);
        this.inc({ namespace, reason: 'lease_id' }, refusedIds);
        this.inc({ namespace, reason: 'lease' }, hidden);
        this.inc({ namespace, reason: 'fields' }, refusedFields);
      }
    },
  });
}
