/**
 * What the web door needs from the rest of the proxy, and the bounds it keeps.
 */

import type { Client } from '../rpc/client.ts';
import type { Services } from '../rpc/contract.ts';
import type { Ledger } from '../rpc/ledger.ts';
import type { CallObserver } from '../rpc/observer.ts';
import type { EtcdPage, HealthReport, MetricsPage } from '../rpc/pages.ts';
import type { V2Options } from './v2/options.ts';

/** The checks behind `/health` and `/proxy/health`. */
export interface HealthChecks {
  /** `/health` with its query. The page is etcd's own where there is one. */
  check(query: URLSearchParams): Promise<HealthReport | EtcdPage>;
  checkProxy(): Promise<HealthReport>;
}

/** The pages behind `/metrics` and `/proxy/metrics`. */
export interface MetricsSource {
  /** etcd's and the proxy's, for this client. */
  all(client: Client): Promise<MetricsPage>;
  /** The proxy's alone, for this client. */
  own(client: Client): Promise<MetricsPage>;
}

/** The page behind `/version`. */
export interface VersionSource {
  /** @throws RpcError (rejects) when etcd does not say it */
  body(): Promise<string>;
}

/** Bounds on HTTP/1.1 connections and on what waits in memory. Times in milliseconds. */
export interface WebLimits {
  /** In which the headers of a request have to arrive. TCP may notice the end of a pause of 30 s after 51 s only. */
  readonly headersTimeout: number;
  /** In which a whole request has to arrive, as in etcd; the response may take as long as it likes. */
  readonly requestTimeout: number;
  /** How long a connection may wait for its next request. */
  readonly keepAliveTimeout: number;
  /** How long a client may take nothing of what is sent to it; 0: for ever. */
  readonly writeTimeout: number;
  /** Size of a request's line and headers. */
  readonly maxHeaderBytes: number;
  /** Bytes of a server stream that may wait for a slow client before its service is told to pause. */
  readonly maxUnreadBytes: number;
  /** How long a stream of events may be silent before a comment is sent. */
  readonly heartbeatMs: number;
  /** Smaller responses are never compressed, whatever the client accepts. */
  readonly compressMinBytes: number;
}

/** The bounds that hold unless told otherwise. */
export const DEFAULT_LIMITS: WebLimits = {
  headersTimeout: 60_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 75_000,
  writeTimeout: 120_000,
  maxHeaderBytes: 1024 * 1024,
  maxUnreadBytes: 256 * 1024,
  heartbeatMs: 15_000,
  compressMinBytes: 32 * 1024,
};

/**
 * How much longer than its protobuf form a message may be as JSON, where bytes are base64 and fields have names. The
 * limit on messages is for the protobuf form; this one only keeps a body from filling the memory.
 */
export const JSON_EXPANSION = 3;

/** Larger messages are read on another thread, or written in pieces: one turn of the event loop is too short. Bytes. */
export const LARGE_BYTES = 256 << 10;

/** What the web door needs. */
export interface WebServerOptions {
  readonly services: Services;
  /** The largest request message, after decompression. */
  readonly maxRequestBytes: number;
  /** Where it is counted what is held for requests. */
  readonly ledger: Ledger;
  /** Origins whose pages may call; none: same origin only; `*`: any. */
  readonly corsAllowedOrigins: readonly string[];
  /** Whether a host name, in lower case, is one by which pages may call the proxy; addresses and `localhost` always are. */
  readonly isOwnHost: (name: string) => boolean;
  readonly health: HealthChecks;
  readonly metrics: MetricsSource;
  readonly version: VersionSource;
  /** How etcd's v2 API is served; without it, not at all. */
  readonly v2?: V2Options | undefined;
  readonly observer: CallObserver;
  /** A bound of {@link WebLimits} was reached by this client, whose connection is closed. */
  readonly onLimit?: (limit: 'writeTimeout', client: Client) => void;
  /** Serve health and metrics, and no RPC. */
  readonly pagesOnly?: boolean;
  /** Bounds that differ from {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<WebLimits>;
}
