/** What `Cluster.MemberList` asks and answers. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { RpcError } from '../rpc/status.ts';
import { MalformedMessage, Scanner } from './scanner.ts';

/** A MemberListRequest: `linearizable`, which releases before 3.5 do not know. */
export const MEMBER_LIST: Uint8Array = Uint8Array.of(0x08, 1);

/** `MemberListResponse.members`. */
const MEMBERS = 2;
/** Fields of `Member`. */
const MemberField = { id: 1, name: 2, clientUrls: 4, isLearner: 5 } as const;

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
    if (field === MemberField.id && wireType === WireType.Varint) hasId = BigInt(reader.uint64()) !== 0n;
    else if (field === MemberField.clientUrls && wireType === WireType.LengthDelimited)
      clientUrls.push(reader.string());
    else if (field === MemberField.isLearner && wireType === WireType.Varint) isLearner = reader.bool();
    else reader.skip(wireType, field);
  }
  return { hasId, clientUrls, isLearner };
}

/** A field `members` with one that has no id, as the incumbent tells of proxies. */
export function memberField(name: string, clientUrl: string): Uint8Array {
  const member = new BinaryWriter();
  if (name !== '') member.uint32(tagOf(MemberField.name)).string(name);
  member.uint32(tagOf(MemberField.clientUrls)).string(clientUrl);
  return new BinaryWriter().uint32(tagOf(MEMBERS)).bytes(member.finish()).finish();
}

/** The reply with these fields in place of its members. All else of it stays. @throws MalformedMessage */
export function withMembers(reply: Uint8Array, members: readonly Uint8Array[]): Uint8Array {
  const scan = new Scanner(reply);
  const kept: Uint8Array[] = [];
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    scan.skip(tag & 7);
    if (tag !== tagOf(MEMBERS)) kept.push(reply.subarray(start, scan.pos));
  }
  return Buffer.concat([...kept, ...members]);
}

/** The tag of a field of bytes. */
const tagOf = (field: number): number => (field << 3) | WireType.LengthDelimited;
