/**
 * `etcdserverpb.KV`, as far as the proxy does more than forward it: reads that ask the same at the same time cost
 * etcd one call. Requests are compared by their bytes and never decoded, so a malformed one gets etcd's own answer.
 */
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { type FlightObserver, Flights } from '../coalesce/flights.ts';
import type { Upstream } from '../rpc/contract.ts';
import { methodOf } from './methods.ts';
import type { OwnMethod } from './services.ts';

/** What the handlers of KV need. */
export interface KvOptions {
  readonly upstream: Upstream;
  /** Whether reads share calls to etcd; otherwise they are forwarded one to one. */
  readonly coalescing: boolean;
  /** Distinct reads in flight that others may share. */
  readonly maxFlights: number;
  readonly observer: FlightObserver;
}

/** Reads that share one call. Its answer goes to all of them in one go, during which nothing else is served. */
const MAX_MEMBERS = 10_000;

/** Real requests are far smaller; a larger one costs etcd more than the call that could be saved. Bytes. */
const MAX_KEY_BYTES = 8192;

/** The handlers that stand in for forwarding. */
export function kvService({ upstream, coalescing, maxFlights, observer }: KvOptions): OwnMethod[] {
  if (!coalescing) return [];
  const limits = { maxFlights, maxMembers: MAX_MEMBERS, maxKeyBytes: MAX_KEY_BYTES };
  const flights = new Flights(upstream, limits, observer);
  return [{ method: methodOf(KV.method.range), unary: (request, call) => flights.read(request, call) }];
}
