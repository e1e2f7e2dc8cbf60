/**
 * A client of etcd's watches for tests: streams on which any number of watches live, with every response decoded and
 * kept, and the few calls that make history.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  CompactionRequestSchema,
  DeleteRangeRequestSchema,
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import {
  type WatchCreateRequestSchema,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '#gen/etcdserverpb/watch_pb.js';
import type { CallOptions, GrpcEnd, RawCall, RawGrpcClient } from './raw-grpc.ts';

export const WATCH = '/etcdserverpb.Watch/Watch';

/** What to watch. */
export type Create = MessageInitShape<typeof WatchCreateRequestSchema>;

/** Bytes of a text of one-byte characters. */
export const b = (text: string): Uint8Array => Buffer.from(text, 'latin1');

const request = (
  requestUnion: NonNullable<MessageInitShape<typeof WatchRequestSchema>['requestUnion']>,
): Uint8Array => toBinary(WatchRequestSchema, create(WatchRequestSchema, { requestUnion }));

/** An open watch stream. */
export class WatchCall {
  readonly call: RawCall;

  constructor(client: RawGrpcClient, options: CallOptions = {}) {
    this.call = client.open(WATCH, options);
  }

  create(value: Create): void {
    this.call.send(request({ case: 'createRequest', value }));
  }

  cancel(watchId: bigint): void {
    this.call.send(request({ case: 'cancelRequest', value: { watchId } }));
  }

  progress(): void {
    this.call.send(request({ case: 'progressRequest', value: {} }));
  }

  /** The next response, or undefined when the stream has ended. */
  async next(limitMs?: number): Promise<WatchResponse | undefined> {
    const message = await this.call.next(limitMs);
    return message === undefined ? undefined : fromBinary(WatchResponseSchema, message);
  }

  /** The next response, which there must be. */
  async must(limitMs?: number): Promise<WatchResponse> {
    const response = await this.next(limitMs);
    if (response === undefined) throw new Error(`the stream ended: ${JSON.stringify(await this.end)}`);
    return response;
  }

  /** Creates a watch and takes the reply, which must be the next response. */
  async created(value: Create): Promise<WatchResponse> {
    this.create(value);
    const response = await this.must();
    if (!response.created || response.canceled) throw new Error(`not created: ${response.cancelReason}`);
    return response;
  }

  /** The revisions of the next so many events. */
  async revisions(count: number, limitMs?: number): Promise<number[]> {
    const revisions: number[] = [];
    while (revisions.length < count) {
      const { events, canceled, cancelReason } = await this.must(limitMs);
      if (canceled) throw new Error(`canceled after ${revisions.length} events: ${cancelReason}`);
      for (const { kv } of events) revisions.push(Number(kv?.modRevision));
    }
    return revisions;
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

/** Puts a key and returns the revision. */
export async function put(
  client: RawGrpcClient,
  key: string,
  value: string,
  options?: CallOptions,
): Promise<number> {
  const message = toBinary(PutRequestSchema, create(PutRequestSchema, { key: b(key), value: b(value) }));
  const reply = fromBinary(PutResponseSchema, await unary(client, '/etcdserverpb.KV/Put', message, options));
  return Number(reply.header?.revision);
}

/** Deletes a range. */
export async function remove(client: RawGrpcClient, key: string, rangeEnd = ''): Promise<void> {
  const value = { key: b(key), rangeEnd: b(rangeEnd) };
  const message = toBinary(DeleteRangeRequestSchema, create(DeleteRangeRequestSchema, value));
  await unary(client, '/etcdserverpb.KV/DeleteRange', message);
}

/** Compacts everything below a revision. */
export async function compact(client: RawGrpcClient, revision: number, physical = false): Promise<void> {
  const value = { revision: BigInt(revision), physical };
  await unary(
    client,
    '/etcdserverpb.KV/Compact',
    toBinary(CompactionRequestSchema, create(CompactionRequestSchema, value)),
  );
}

/** etcd's revision by a linearizable read. */
export async function revision(client: RawGrpcClient): Promise<number> {
  const message = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b('\0'), limit: 1n }));
  const reply = fromBinary(RangeResponseSchema, await unary(client, '/etcdserverpb.KV/Range', message));
  return Number(reply.header?.revision);
}

/** Revisions from one to another, both included. */
export function span(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
