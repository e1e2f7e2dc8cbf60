/** The contracts for plain pages, `/health` and `/metrics`: those that etcd serves beside its RPCs, and the proxy's. */

/** A page as etcd gave it. */
export interface EtcdPage {
  readonly status: number;
  readonly body: Uint8Array;
}

/** What the proxy found when it checked by itself, in the form of etcd's `/health`. */
export interface HealthReport {
  readonly health: boolean;
  /** Empty when healthy. */
  readonly reason: string;
}

/** A page of the proxy's for Prometheus. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** Why there is no page: nothing is connected, the fetch failed or took too long, or what came is no such page. */
export type NoPage = 'not_connected' | 'unreachable' | 'timeout' | 'too_large' | 'unexpected';

/** Which pages are taken. */
export interface PageBounds {
  /** The statuses of HTTP that such a page may have. */
  readonly statuses: readonly number[];
  /** What its content type begins with, if not `text/plain`. */
  readonly type?: string;
  /** Milliseconds until it has to be there whole; once more as many where the process could not read meanwhile. */
  readonly timeout: number;
  readonly maxBytes: number;
}

/** Of etcd's `/metrics`, whichever of its series are wanted. */
export const METRICS_BOUNDS: PageBounds = { statuses: [200], timeout: 5000, maxBytes: 16 << 20 };

/** Whoever fetches the pages of the etcd in use. Never rejects. */
export interface EtcdPages {
  /** Gets a page; simultaneous calls for one path share one fetch, so paths have to be few and their bounds the same. */
  get(path: string, bounds: PageBounds): Promise<EtcdPage | NoPage>;
}
