/** The descriptors of all methods, for doors that read messages; the rest of the proxy does without them. */
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Health } from '#gen/grpc/health/v1/health_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';

const SERVICES: readonly DescService[] = [
  KV,
  Watch,
  Lease,
  Cluster,
  Maintenance,
  Auth,
  Lock,
  Election,
  Browser,
  Health,
];

/** Every method that the proxy knows. */
export const METHOD_SCHEMAS: readonly DescMethod[] = SERVICES.flatMap(({ methods }) => methods);

/** The path of a method. */
export function pathOf({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}
