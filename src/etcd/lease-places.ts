/** Where messages name leases, and the same messages with other leases in these places. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Code, RpcError } from '../rpc/status.ts';
import { StrictFields } from './strict-fields.ts';

/** Where a message names leases. */
export interface LeasePlaces {
  /** The tag of the field that is the lease. */
  readonly lease?: number;
  /** By the tags of their fields, the messages within that may name one. */
  readonly inner?: ReadonlyMap<number, LeasePlaces>;
}

const PUT: LeasePlaces = { lease: 0x18 };
const TXN_OPERATIONS = new Map<number, LeasePlaces>();
const OPERATION: LeasePlaces = { inner: TXN_OPERATIONS };
const TXN: LeasePlaces = {
  inner: new Map([
    [0x12, OPERATION],
    [0x1a, OPERATION],
  ]),
};
TXN_OPERATIONS.set(0x12, PUT).set(0x22, TXN);

const LEADER: LeasePlaces = { inner: new Map([[0x0a, { lease: 0x20 }]]) };

/** The places, by message. */
export const Places = {
  /** `PutRequest`. */
  put: PUT,
  /** `TxnRequest`: puts, in transactions nested to any depth. */
  txn: TXN,
  /** `LeaseGrantRequest`. */
  grant: { lease: 0x10 },
  /** Any other request about one lease. */
  ofLease: { lease: 0x08 },
  /** A reply about one lease. */
  reply: { lease: 0x10 },
  /** `LockRequest` and `CampaignRequest`. */
  session: { lease: 0x10 },
  /** `ProclaimRequest` and `ResignRequest`. */
  leader: LEADER,
} satisfies Readonly<Record<string, LeasePlaces>>;

/** Messages within messages, as deep as anybody nests transactions; each of these is two messages. */
const MAX_DEPTH = 2000;

/** `LeaseLeasesResponse.leases`. */
const LEASES = 0x12;

/** Bytes in place of others. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

/**
 * A message with other leases in all places where it names one; itself, where none changes. Zero, which is none, stays.
 * @throws RpcError for bytes that are no message
 */
export function mapLeases(
  message: Uint8Array,
  places: LeasePlaces,
  other: (lease: bigint) => bigint,
): Uint8Array {
  const mapping = new Mapping(other);
  mapping.walk(new StrictFields(message), places, 0);
  return mapping.applied(message);
}

/** The lease that a message names itself; zero: none. The last one counts. @throws RpcError for bytes that are no message */
export function leaseIn(message: Uint8Array, { lease }: LeasePlaces): bigint {
  let id = 0n;
  for (const fields = new StrictFields(message); fields.next(); )
    if (fields.tag === lease) id = fields.int64();
  return id;
}

/** A message that names this lease, whatever it named before. */
export function withLease(message: Uint8Array, tag: number, lease: bigint): Uint8Array {
  return Buffer.concat([message, leaseField(tag, lease)]);
}

/** A `LeaseLeasesResponse` with those leases that are wanted. @throws RpcError for bytes that are no message */
export function selectLeases(reply: Uint8Array, wanted: (lease: bigint) => boolean): Uint8Array {
  const parts: Uint8Array[] = [];
  let kept = 0;
  const fields = new StrictFields(reply);
  while (fields.next()) {
    if (fields.tag !== LEASES || wanted(leaseAt(fields.inner()))) continue;
    parts.push(reply.subarray(kept, fields.start));
    kept = fields.to;
  }
  parts.push(reply.subarray(kept));
  return Buffer.concat(parts);
}

/** The lease of a `LeaseStatus`. */
function leaseAt(fields: StrictFields): bigint {
  let id = 0n;
  while (fields.next()) if (fields.tag === Places.ofLease.lease) id = fields.int64();
  return id;
}

function leaseField(tag: number, lease: bigint): Uint8Array {
  return new BinaryWriter().uint32(tag).int64(lease).finish();
}

/** Finds what changes in a message, and changes it, with one copy however deep that lies. */
class Mapping {
  readonly #other: (lease: bigint) => bigint;
  readonly #edits: Edit[] = [];

  constructor(other: (lease: bigint) => bigint) {
    this.#other = other;
  }

  /** Notes what changes in a message. @returns by how many bytes it grows */
  walk(fields: StrictFields, places: LeasePlaces, depth: number): number {
    if (depth > MAX_DEPTH)
      throw new RpcError(Code.INVALID_ARGUMENT, 'etcd-connect-proxy: transactions are nested too deeply');
    let growth = 0;
    while (fields.next()) {
      const inner = places.inner?.get(fields.tag);
      if (inner !== undefined) growth += this.#within(fields, inner, depth + 1);
      else if (fields.tag === places.lease) growth += this.#lease(fields);
    }
    return growth;
  }

  applied(message: Uint8Array): Uint8Array {
    if (this.#edits.length === 0) return message;
    const parts: Uint8Array[] = [];
    let copied = 0;
    for (const { from, to, bytes } of this.#edits.sort((a, b) => a.from - b.from)) {
      parts.push(message.subarray(copied, from), bytes);
      copied = to;
    }
    parts.push(message.subarray(copied));
    return Buffer.concat(parts);
  }

  #lease(fields: StrictFields): number {
    const lease = fields.int64();
    const other = lease === 0n ? lease : this.#other(lease);
    if (other === lease) return 0;
    return this.#edit(fields.start, fields.to, leaseField(fields.tag, other));
  }

  /** A message within another has its length in front. */
  #within(fields: StrictFields, places: LeasePlaces, depth: number): number {
    const { start, from, to, tag } = fields;
    const growth = this.walk(fields.inner(), places, depth);
    if (growth === 0) return 0;
    const head = new BinaryWriter()
      .uint32(tag)
      .uint32(to - from + growth)
      .finish();
    return growth + this.#edit(start, from, head);
  }

  #edit(from: number, to: number, bytes: Uint8Array): number {
    this.#edits.push({ from, to, bytes });
    return bytes.length - (to - from);
  }
}
