/** Makes a story happen, past the proxy. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { DeleteRangeRequestSchema, type RequestOpSchema, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { until } from '../../support/until.ts';
import { b, put, revision } from '../../support/watch-client.ts';
import { STEPS, type Story } from './story.ts';

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

/** Makes a request, to which etcd may not wait for the end of what it does. */
async function request(client: RawGrpcClient, path: string, message: Uint8Array): Promise<void> {
  const { code, message: why } = await client.call(path, [message], { limitMs: LIMIT_MS });
  if (code !== 0 && !/request timed out/.test(why)) throw new Error(`${path}: ${code} ${why}`);
}

async function txn(client: RawGrpcClient, success: readonly Operation[]): Promise<void> {
  const message = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success: [...success] }));
  await request(client, '/etcdserverpb.KV/Txn', message);
}

/** Puts the keys that are there before the story begins. @returns the revision after that */
export async function fill(client: RawGrpcClient, story: Story): Promise<number> {
  const { keys, operations } = story.size;
  const steps = Math.ceil(keys / operations);
  const before = await revision(client);
  for (let step = 0; step < steps; step++) {
    const from = step * operations;
    const numbers = Array.from({ length: Math.min(operations, keys - from) }, (_, i) => from + i);
    await txn(
      client,
      numbers.map((number) => putOf(story.key(number))),
    );
  }
  await reached(client, before + steps);
  return before + steps;
}

/** Makes all of it happen after a revision. @returns the revision of each step */
export async function perform(client: RawGrpcClient, story: Story, start: number): Promise<number[]> {
  const written = story.written();
  await txn(
    client,
    written.map((number) => putOf(story.key(number))),
  );
  const change = (number: number): Operation =>
    number % 2 === 0 ? deleteOf(story.key(number)) : putOf(story.key(number));
  await txn(client, written.map(change));
  const range = { key: b('h/'), rangeEnd: b('h0') };
  const message = toBinary(DeleteRangeRequestSchema, create(DeleteRangeRequestSchema, range));
  await request(client, '/etcdserverpb.KV/DeleteRange', message);
  await reached(client, start + STEPS - 1);
  const last = await put(client, story.key(story.size.keys), 'v');
  if (last !== start + STEPS) throw new Error(`revision ${last} instead of ${start + STEPS}`);
  return Array.from({ length: STEPS }, (_, step) => start + 1 + step);
}

/** Waits until etcd has done so much. */
async function reached(client: RawGrpcClient, wanted: number): Promise<void> {
  await until(
    `etcd is at ${wanted}`,
    async () => (await revision(client).catch(() => 0)) >= wanted,
    LIMIT_MS,
  );
}
