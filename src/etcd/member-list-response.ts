/** What `Cluster.MemberList` asks and answers. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { RpcError } from '../rpc/status.ts';
import { MalformedMessage } from './scanner.ts';

/** A MemberListRequest: `linearizable`, which releases before 3.5 do not know. */
export const MEMBER_LIST: Uint8Array = Uint8Array.of(0x08, 1);

/** `MemberListResponse.members`. */
const MEMBERS = 2;
/** Fields of `Member`. */
const Field = { id: 1, name: 2, clientUrls: 4, isLearner: 5 } as const;

/** A member, as the cluster tells of it. */
export interface Member {
  /** Whether it has a number; a member that etcd's proxy has made up has none. */
  readonly hasId: boolean;
  /** Empty while it has been added but not started. */
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** The members in a MemberListResponse. @throws RpcError INTERNAL where the bytes are none */
export function membersIn(reply: Uint8Array): Member[] {
  try {
    const reader = new BinaryReader(reply);
    const members: Member[] = [];
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === MEMBERS && wireType === WireType.LengthDelimited) members.push(memberIn(reader.bytes()));
      else reader.skip(wireType, field);
    }
    return members;
  } catch (error) {
    if (error instanceof RpcError || !(error instanceof Error)) throw error;
    throw new MalformedMessage('MemberListResponse');
  }
}

function memberIn(bytes: Uint8Array): Member {
  const reader = new BinaryReader(bytes);
  const clientUrls: string[] = [];
  let hasId = false;
  let isLearner = false;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === Field.id && wireType === WireType.Varint) hasId = BigInt(reader.uint64()) !== 0n;
    else if (field === Field.clientUrls && wireType === WireType.LengthDelimited)
      clientUrls.push(reader.string());
    else if (field === Field.isLearner && wireType === WireType.Varint) isLearner = reader.bool();
    else reader.skip(wireType, field);
  }
  return { hasId, clientUrls, isLearner };
}
