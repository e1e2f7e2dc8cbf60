/** What is held for the requests of all clients, and what became of those who sent too much. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { Ledger } from '../rpc/ledger.ts';

/** Adds the series. */
export function exposeRequestMemory(registry: Registry, ledger: Ledger): void {
  const registers = [registry];
  new Gauge({
    name: 'etcd_proxy_request_bytes_in_flight',
    help: 'Bytes held for requests that are being received or wait, with their metadata and the state of streams.',
    registers,
    collect() {
      this.set(ledger.held);
    },
  });
  new Counter({
    name: 'etcd_proxy_request_bytes_limit_total',
    help: 'Reactions to --max-request-bytes-in-flight: clients that were read no further for a while, requests refused.',
    labelNames: ['reaction'] as const,
    registers,
    collect() {
      this.reset();
      this.inc({ reaction: 'held_back' }, ledger.heldBack);
      this.inc({ reaction: 'refused' }, ledger.refused);
    },
  });
}
