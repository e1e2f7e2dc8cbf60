/**
 * `etcdserverpb.KV`, as far as the proxy does more than forward it. A read goes through layers until one has the
 * answer; the last one shares a call to etcd among reads that ask the same at the same time.
 *
 *   client ─▶ layers that know answers ─▶ Flights ─▶ etcd
 */
import { KV } from '../etcd/methods.ts';
import { type FlightObserver, Flights } from '../flights/flights.ts';
import { StreamFlights } from '../flights/stream-flights.ts';
import type { Upstream } from '../rpc/contract.ts';
import { forwardStream } from '../rpc/forward.ts';
import type { ReadLayer } from '../rpc/read-layer.ts';
import type { OwnMethod } from './table.ts';

/** Puts a layer above another. */
export type Layer = (below: ReadLayer) => ReadLayer;

/** What the handlers of KV need. */
export interface KvOptions {
  readonly upstream: Upstream;
  /** Whether reads share calls to etcd; otherwise they are forwarded one to one. */
  readonly coalescing: boolean;
  /** Distinct reads in flight that others may share. */
  readonly maxFlights: number;
  readonly observer: FlightObserver;
  /** What knows answers, the one that is asked last first. */
  readonly layers: readonly Layer[];
}

/** Reads that share one call. */
const MAX_MEMBERS = 10_000;

/** Real requests are far smaller; a larger one costs etcd more than the call that could be saved. Bytes. */
const MAX_KEY_BYTES = 8192;

/** The handlers that stand in for forwarding. */
export function kvService({ upstream, coalescing, maxFlights, observer, layers }: KvOptions): OwnMethod[] {
  if (!coalescing && layers.length === 0) return [];
  const limits = { maxFlights, maxMembers: MAX_MEMBERS, maxKeyBytes: MAX_KEY_BYTES };
  let reads: ReadLayer = coalescing ? new Flights(upstream, limits, observer) : direct(upstream);
  for (const layer of layers) reads = layer(reads);
  const own: OwnMethod[] = [{ method: KV.Range, unary: (request, call) => reads.read(request, call) }];
  if (coalescing) {
    const streams = new StreamFlights({ upstream, forward: forwardStream(upstream), limits, observer });
    own.push({ method: KV.RangeStream, stream: streams.serve });
  }
  return own;
}

function direct(upstream: Upstream): ReadLayer {
  return { read: (request, call) => upstream.unary(request, call) };
}
