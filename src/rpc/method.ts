/**
 * What the proxy knows about a method before any message of it is read. Unknown methods are legal: a newer etcd
 * may have them, and they are forwarded as a stream of bytes.
 */

/** gRPC's four kinds of methods, spelled as in `grpc_type` of etcd's metrics. */
export type MethodKind = 'unary' | 'server_stream' | 'client_stream' | 'bidi_stream';

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
}
