/** A client of heartbeats for tests: streams on which leases are kept alive, with every answer decoded. */
import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  type LeaseKeepAliveResponse,
  LeaseKeepAliveResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
} from '#gen/etcdserverpb/lease_pb.js';
import type { CallOptions, GrpcEnd, RawCall, RawGrpcClient } from '../support/raw-grpc.ts';

export const KEEP_ALIVE = '/etcdserverpb.Lease/LeaseKeepAlive';

/** The request for a heartbeat. */
export const beat = (ID: bigint): Uint8Array =>
  toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID }));

/** An open stream. */
export class BeatCall {
  readonly call: RawCall;

  constructor(client: RawGrpcClient, options: CallOptions = {}) {
    this.call = client.open(KEEP_ALIVE, options);
  }

  send(...ids: readonly bigint[]): void {
    for (const id of ids) this.call.send(beat(id));
  }

  /** The next answer, or undefined when the stream has ended. */
  async next(limitMs?: number): Promise<LeaseKeepAliveResponse | undefined> {
    const message = await this.call.next(limitMs);
    return message === undefined ? undefined : fromBinary(LeaseKeepAliveResponseSchema, message);
  }

  /** The next answer, which there must be. */
  async must(limitMs?: number): Promise<LeaseKeepAliveResponse> {
    const answer = await this.next(limitMs);
    if (answer === undefined) throw new Error(`the stream ended: ${JSON.stringify(await this.end)}`);
    return answer;
  }

  /** Sends one heartbeat and takes its answer. @returns the TTL */
  async beat(id: bigint, limitMs?: number): Promise<number> {
    this.send(id);
    const { ID, TTL } = await this.must(limitMs);
    assert.equal(ID, id);
    return Number(TTL);
  }

  /** How the stream ended. */
  async outcome(): Promise<readonly [number, string]> {
    const { code, message } = await this.end;
    return [code, message];
  }

  get end(): Promise<GrpcEnd> {
    return this.call.end;
  }

  close(): void {
    this.call.cancel();
  }
}

async function unary(
  client: RawGrpcClient,
  path: string,
  message: Uint8Array,
  options: CallOptions = {},
): Promise<Uint8Array> {
  const { messages, code, message: text } = await client.call(path, [message], options);
  const [reply] = messages;
  if (code !== 0 || reply === undefined) throw new Error(`${path}: ${code} ${text}`);
  return reply;
}

/** Grants a lease. @param id 0 where etcd chooses one */
export async function grant(
  client: RawGrpcClient,
  ttl: number,
  id = 0n,
  options?: CallOptions,
): Promise<bigint> {
  const request = toBinary(
    LeaseGrantRequestSchema,
    create(LeaseGrantRequestSchema, { TTL: BigInt(ttl), ID: id }),
  );
  const reply = await unary(client, '/etcdserverpb.Lease/LeaseGrant', request, options);
  return fromBinary(LeaseGrantResponseSchema, reply).ID;
}

/** Grants many, a few at a time. */
export async function grantMany(
  client: RawGrpcClient,
  ttl: number,
  count: number,
  first = 0n,
): Promise<bigint[]> {
  const ids: bigint[] = [];
  while (ids.length < count) {
    const more = Math.min(100, count - ids.length);
    const wanted = Array.from({ length: more }, (_, i) =>
      first === 0n ? 0n : first + BigInt(ids.length + i),
    );
    ids.push(...(await Promise.all(wanted.map((id) => grant(client, ttl, id)))));
  }
  return ids;
}

export async function revoke(client: RawGrpcClient, ID: bigint, options?: CallOptions): Promise<void> {
  const request = toBinary(LeaseRevokeRequestSchema, create(LeaseRevokeRequestSchema, { ID }));
  await unary(client, '/etcdserverpb.Lease/LeaseRevoke', request, options);
}

/** The seconds that a lease still has; -1 where there is none. */
export async function timeToLive(client: RawGrpcClient, ID: bigint, options?: CallOptions): Promise<number> {
  const request = toBinary(LeaseTimeToLiveRequestSchema, create(LeaseTimeToLiveRequestSchema, { ID }));
  const reply = await unary(client, '/etcdserverpb.Lease/LeaseTimeToLive', request, options);
  return Number(fromBinary(LeaseTimeToLiveResponseSchema, reply).TTL);
}

/** Puts a key that a lease holds. */
export async function putWith(
  client: RawGrpcClient,
  key: string,
  lease: bigint,
  options?: CallOptions,
): Promise<void> {
  const request = toBinary(
    PutRequestSchema,
    create(PutRequestSchema, { key: Buffer.from(key), value: Buffer.from('x'), lease }),
  );
  await unary(client, '/etcdserverpb.KV/Put', request, options);
}
