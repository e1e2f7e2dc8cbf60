/** Makes a story happen, past the proxy. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  type RequestOpSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { b, put, revision } from '../../support/watch-client.ts';
import type { Story } from './story.ts';

type Operation = MessageInitShape<typeof RequestOpSchema>;

/** A request on so many keys takes etcd a while. */
const LIMIT_MS = 300_000;
const VALUE = b('v');

const putOf = (key: string): Operation => ({
  request: { case: 'requestPut', value: { key: b(key), value: VALUE } },
});
const deleteOf = (key: string): Operation => ({
  request: { case: 'requestDeleteRange', value: { key: b(key) } },
});

async function call(client: RawGrpcClient, path: string, request: Uint8Array): Promise<Uint8Array> {
  const { code, message, messages } = await client.call(path, [request], { limitMs: LIMIT_MS });
  if (code !== 0 || messages[0] === undefined) throw new Error(`${path}: ${code} ${message}`);
  return messages[0];
}

async function txn(client: RawGrpcClient, success: readonly Operation[]): Promise<number> {
  const request = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success: [...success] }));
  const reply = fromBinary(TxnResponseSchema, await call(client, '/etcdserverpb.KV/Txn', request));
  return Number(reply.header?.revision);
}

/** Puts the keys that are there before the story begins. @returns the revision after that */
export async function fill(client: RawGrpcClient, story: Story): Promise<number> {
  const { keys, operations } = story.size;
  for (let from = 0; from < keys; from += operations) {
    const numbers = Array.from({ length: Math.min(operations, keys - from) }, (_, i) => from + i);
    await txn(
      client,
      numbers.map((number) => putOf(story.key(number))),
    );
  }
  return revision(client);
}

/** Makes all of it happen. @returns the revision of each step */
export async function perform(client: RawGrpcClient, story: Story): Promise<number[]> {
  const written = story.written();
  const created = await txn(
    client,
    written.map((number) => putOf(story.key(number))),
  );
  const change = (number: number): Operation =>
    number % 2 === 0 ? deleteOf(story.key(number)) : putOf(story.key(number));
  const changed = await txn(client, written.map(change));
  const range = { key: b('h/'), rangeEnd: b('h0') };
  const request = toBinary(DeleteRangeRequestSchema, create(DeleteRangeRequestSchema, range));
  const reply = await call(client, '/etcdserverpb.KV/DeleteRange', request);
  const deleted = Number(fromBinary(DeleteRangeResponseSchema, reply).header?.revision);
  const after = await put(client, story.key(story.size.keys), 'v');
  return [created, changed, deleted, after];
}
