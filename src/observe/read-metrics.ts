/**
 * What becomes of reads: how many calls to etcd they shared, and which bounds kept them from it. A read adds to
 * plain numbers; they become series only when somebody scrapes.
 */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { FlightLimit, FlightObserver } from '../coalesce/flights.ts';

export class ReadMetrics implements FlightObserver {
  #sent = 0;
  #ended = 0;
  #joined = 0;
  readonly #refused: Record<FlightLimit, number> = { flights: 0, members: 0, key_bytes: 0, held_bytes: 0 };

  constructor(registry: Registry) {
    this.#expose(registry, 'flights', 'Calls to etcd that reads may share.', () => this.#sent);
    this.#expose(registry, 'joins', 'Reads answered by the call of another one.', () => this.#joined);
    const refused = this.#refused;
    new Counter({
      name: 'etcd_proxy_read_limits_total',
      help: 'Reads forwarded by themselves because a bound of coalescing was reached, by the bound.',
      labelNames: ['limit'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const [limit, count] of Object.entries(refused)) this.inc({ limit }, count);
      },
    });
    const open = () => this.#sent - this.#ended;
    new Gauge({
      name: 'etcd_proxy_read_flights',
      help: 'Calls to etcd that reads may share, now in flight.',
      registers: [registry],
      collect() {
        this.set(open());
      },
    });
  }

  sent(): void {
    this.#sent++;
  }

  ended(): void {
    this.#ended++;
  }

  joined(): void {
    this.#joined++;
  }

  refused(limit: FlightLimit): void {
    this.#refused[limit]++;
  }

  #expose(registry: Registry, name: string, help: string, value: () => number): void {
    new Counter({
      name: `etcd_proxy_read_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }
}
