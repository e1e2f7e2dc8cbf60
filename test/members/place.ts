/** What tests of registrations look at: the member list as a client gets it, and the entries in etcd. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  MemberListRequestSchema,
  type MemberListResponse,
  MemberListResponseSchema,
} from '#gen/etcdserverpb/cluster_pb.js';
import { type EtcdCluster, etcdctl } from '../support/etcd.ts';
import { type CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';

export const LIST = '/etcdserverpb.Cluster/MemberList';

/** What a client is answered. */
export async function membersAt(address: string, options: CallOptions = {}): Promise<MemberListResponse> {
  using client = new RawGrpcClient(address);
  const request = toBinary(MemberListRequestSchema, {
    $typeName: 'etcdserverpb.MemberListRequest',
    linearizable: true,
  });
  const { code, message, messages } = await client.call(LIST, [request], options);
  if (code !== 0 || messages[0] === undefined) throw new Error(`MemberList: ${code} ${message}`);
  return fromBinary(MemberListResponseSchema, messages[0]);
}

/** Only the addresses, in the order of the list. */
export async function addressesAt(address: string): Promise<string[]> {
  return (await membersAt(address)).members.flatMap(({ clientURLs }) => clientURLs);
}

/** A key in etcd. */
export interface Found {
  readonly key: string;
  readonly value: string;
  readonly lease: string;
}

/** What is in etcd below a prefix, in the order of the keys. Leases in hex, as etcdctl wants them. */
export async function entriesIn(
  { install, endpoints }: Pick<EtcdCluster, 'install' | 'endpoints'>,
  prefix: string,
  flags: readonly string[] = [],
): Promise<Found[]> {
  const { stdout, stderr } = await etcdctl(install, endpoints, [
    'get',
    prefix,
    '--prefix',
    '-w',
    'json',
    ...flags,
  ]);
  if (stdout === '') throw new Error(stderr);
  // Leases have more digits than numbers of JavaScript.
  const { kvs = [] } = JSON.parse(stdout.replace(/"lease":(\d+)/g, '"lease":"$1"')) as { kvs?: Found[] };
  const text = (base64: string): string => Buffer.from(base64, 'base64').toString();
  return kvs.map(({ key, value, lease }) => ({
    key: text(key),
    value: text(value),
    lease: BigInt(lease ?? 0).toString(16),
  }));
}
