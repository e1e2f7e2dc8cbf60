/**
 * What becomes of reads: how many calls to etcd they shared, and which bounds kept them from it. A read adds to
 * plain numbers; they become series only when somebody scrapes.
 */
import type { Registry } from '@prometheus-io/client';
import type { FlightLimit, FlightObserver } from '../flights/flights.ts';
import { exposeCounter, exposeCounts, exposeGauge } from './readings.ts';

export class ReadMetrics implements FlightObserver {
  #sent = 0;
  #ended = 0;
  #joined = 0;
  readonly #refused: Record<FlightLimit, number> = { flights: 0, members: 0, key_bytes: 0, held_bytes: 0 };

  constructor(registry: Registry) {
    const flights = 'Calls to etcd that reads may share.';
    exposeCounter(registry, 'etcd_proxy_read_flights_total', flights, () => this.#sent);
    const joins = 'Reads answered by the call of another one.';
    exposeCounter(registry, 'etcd_proxy_read_joins_total', joins, () => this.#joined);
    const limits = 'Reads forwarded by themselves because a bound of coalescing was reached, by the bound.';
    const refused = () => Object.entries(this.#refused);
    exposeCounts(registry, 'etcd_proxy_read_limits_total', limits, 'limit', refused);
    const open = 'Calls to etcd that reads may share, now in flight.';
    exposeGauge(registry, 'etcd_proxy_read_flights', open, () => this.#sent - this.#ended);
  }

  onSent(): void {
    this.#sent++;
  }

  onEnded(): void {
    this.#ended++;
  }

  onJoined(): void {
    this.#joined++;
  }

  onRefused(limit: FlightLimit): void {
    this.#refused[limit]++;
  }
}
