/**
 * The methods of etcd's API as the generated descriptors list them, and what may be done with each.
 */
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import type { Method, MethodKind, Pace } from '../rpc/method.ts';

/** The services that etcd serves and the proxy forwards. */
export const ETCD_SERVICES: readonly DescService[] = [
  KV,
  Watch,
  Lease,
  Cluster,
  Maintenance,
  Auth,
  Lock,
  Election,
];

/**
 * Streams that change nothing by being opened again. A heartbeat sent twice renews a lease at the time it is
 * sent, which its client asked for.
 */
const REPEATABLE_STREAMS: ReadonlySet<string> = new Set([
  '/etcdserverpb.Watch/Watch',
  '/etcdserverpb.KV/RangeStream',
  '/etcdserverpb.Lease/LeaseKeepAlive',
  '/etcdserverpb.Maintenance/Snapshot',
  '/v3electionpb.Election/Observe',
]);

/** What is neither a unary call that etcd answers at once nor a stream that ends by itself. */
const PACES: ReadonlyMap<string, Pace> = new Map([
  ['/etcdserverpb.Watch/Watch', 'following'],
  ['/v3electionpb.Election/Observe', 'following'],
  ['/etcdserverpb.Lease/LeaseKeepAlive', 'heartbeats'],
  ['/v3lockpb.Lock/Lock', 'waiting'],
  ['/v3electionpb.Election/Campaign', 'waiting'],
  ['/etcdserverpb.Maintenance/Defragment', 'slow'],
  ['/etcdserverpb.Maintenance/Hash', 'slow'],
  ['/etcdserverpb.Maintenance/HashKV', 'slow'],
]);

const KINDS: Readonly<Record<DescMethod['methodKind'], MethodKind>> = {
  unary: 'unary',
  server_streaming: 'server_stream',
  client_streaming: 'client_stream',
  bidi_streaming: 'bidi_stream',
};

/** The method that a descriptor describes. */
export function methodOf(descriptor: DescMethod): Method {
  const path = `/${descriptor.parent.typeName}/${descriptor.name}`;
  const kind = KINDS[descriptor.methodKind];
  return {
    path,
    service: descriptor.parent.typeName,
    name: descriptor.name,
    kind,
    idempotent:
      descriptor.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS ||
      REPEATABLE_STREAMS.has(path),
    pace: PACES.get(path) ?? (kind === 'unary' ? 'prompt' : 'slow'),
  };
}

/**
 * A method that no descriptor describes: forwarded as a stream of bytes, never sent twice. For metrics it has no
 * name of its own, so that strangers' paths cannot grow the table of series.
 */
export function unknownMethod(path: string): Method {
  return { path, service: 'unknown', name: 'unknown', kind: 'bidi_stream', idempotent: false, pace: 'slow' };
}
