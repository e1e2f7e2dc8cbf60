/** Metrics that are read from plain numbers when somebody scrapes, so that counting costs an addition. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';

/** Exposes a number that only grows. */
export function exposeCounter(registry: Registry, name: string, help: string, value: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(value());
    },
  });
}

/** Exposes a number that grows and shrinks. */
export function exposeGauge(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
}

/** Exposes numbers that only grow, told apart by a label. */
export function exposeCounts(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  counts: () => Iterable<readonly [value: string, count: number]>,
): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of counts()) this.inc({ [label]: value }, count);
    },
  });
}
