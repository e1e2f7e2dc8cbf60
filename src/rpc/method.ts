/**
 * What the proxy knows about a method before any message of it is read. Unknown methods are legal: a newer etcd
 * may have them, and they are forwarded as a stream of bytes.
 */

/** gRPC's four kinds of methods, spelled as in `grpc_type` of etcd's metrics. */
export type MethodKind = 'unary' | 'server_stream' | 'client_stream' | 'bidi_stream';

/**
 * How the answer comes, which decides what silence means and what becomes of a call whose endpoint is left for another:
 *
 * - `prompt`: soon; an endpoint that leaves it unanswered may be of no use.
 * - `slow`: after a while, by nature; it ends where it was begun.
 * - `waiting`: when others let go of something (`Lock`, `Campaign`); asked again elsewhere where that is the same call.
 * - `following`: again and again without being asked (`Watch`); it would hear nothing more, so it ends, and can resume.
 * - `heartbeats`: one answer to each message, soon; what is unanswered is asked again elsewhere.
 */
export type Pace = 'prompt' | 'slow' | 'waiting' | 'following' | 'heartbeats';

/** One RPC of the interface. */
export interface Method {
  /** The HTTP path, `/package.Service/Method`. */
  readonly path: string;
  /** `package.Service`. */
  readonly service: string;
  readonly name: string;
  readonly kind: MethodKind;
  /** A call that changes nothing on the cluster, so that it may be sent again when its fate is unknown. */
  readonly idempotent: boolean;
  readonly pace: Pace;
}
