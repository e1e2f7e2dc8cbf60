/** How the operations of the model are done. */
import { create, toBinary } from '@bufbuild/protobuf';
import { TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { b, compact, put, remove } from '../../support/watch-client.ts';
import type { WatchingClient } from './client.ts';
import type { StoreHistory } from './history.ts';
import type { KeySpan } from './key-span.ts';
import { type Fault, MANY_KEYS, type Operation } from './operations.ts';

/** Where operations take place. */
export interface World {
  /** Straight to etcd. */
  readonly direct: () => RawGrpcClient;
  readonly history: StoreHistory;
  readonly clients: readonly WatchingClient[];
  fault(kind: Fault, ms: number): Promise<void>;
}

/** Operations of a transaction, of those keys and more. */
export const HUGE_OPERATIONS = 500;
const manyKey = (i: number): string => `m/${i}`;
const HUGE_KEYS = Array.from({ length: HUGE_OPERATIONS }, (_, i) => manyKey(i));
/** Whether a watch is one of very many that are alike. */
export const isOfMany = ({ key, end }: KeySpan): boolean => key.startsWith('m/') && end === '';

const HEAVY_PUTS = 16;
const HEAVY_VALUE = 'v'.repeat(48 << 10);
/** From this size on the proxy cuts responses to clients that allow it. */
export const FRAGMENT_BYTES = 576 << 10;

/** Does it. A write that fails because etcd is away may or may not have happened. */
export async function perform(operation: Operation, world: World): Promise<void> {
  const { history, clients } = world;
  const direct = world.direct();
  const client = 'client' in operation ? clients[operation.client % clients.length] : undefined;
  switch (operation.op) {
    case 'put':
      return write(put(direct, operation.key, 'v'.repeat(operation.size)));
    case 'burst': {
      const puts = Array.from({ length: operation.count }, () =>
        write(put(direct, operation.key, 'burst'.repeat(100))),
      );
      return void (await Promise.all(puts));
    }
    case 'flood':
      for (let left = operation.count; left > 0; left -= 100)
        await Promise.all(
          Array.from({ length: Math.min(100, left) }, () => write(put(direct, operation.key, ''))),
        );
      return;
    case 'heavy':
      return void (await Promise.all(
        Array.from({ length: HEAVY_PUTS }, () => write(put(direct, operation.key, HEAVY_VALUE))),
      ));
    case 'delete':
      return write(remove(direct, operation.range[0], operation.range[1]));
    case 'txn':
      return write(txn(direct, operation.keys, (index) => index < operation.deletes));
    case 'huge':
      return write(txn(direct, HUGE_KEYS, (index) => index % 4 < operation.deletes));
    case 'compact':
      return write(compact(direct, history.compacting(history.revision - operation.back)));
    case 'watch': {
      for (const { start, range, ...options } of operation.wishes)
        client?.watch({ key: range[0], end: range[1], start: startOf(start, history), ...options });
      return;
    }
    case 'many': {
      const { start, range: _, ...options } = operation.wish;
      const from = startOf(start, history);
      for (const key of keysOf(operation)) client?.watch({ key, end: '', start: from, ...options });
      return;
    }
    case 'scatter':
      return void (await Promise.all(keysOf(operation).map((key) => write(put(direct, key, 'v')))));
    case 'cancel':
    case 'duplicate':
      return client?.[operation.op](operation.index);
    case 'wait':
      return void (await new Promise((resolve) => setTimeout(resolve, operation.ms)));
    case 'fault':
      return world.fault(operation.kind, operation.ms);
    default:
      return client?.[operation.op]();
  }
}

function keysOf({ first, count }: { readonly first: number; readonly count: number }): string[] {
  return Array.from({ length: count }, (_, i) => manyKey((first + i) % MANY_KEYS));
}

function startOf(start: { readonly from: string; readonly by: number }, history: StoreHistory): number {
  if (start.from === 'now') return 0;
  if (start.from === 'past') return Math.max(1, history.revision - start.by);
  if (start.from === 'future') return history.revision + start.by;
  return history.events[0]?.revision ?? 1;
}

async function write(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!/: (2|4|11|14) /.test(String(error))) throw error; // broken off, timed out, compacted already, away
  }
}

async function txn(
  direct: RawGrpcClient,
  keys: readonly string[],
  deletes: (index: number) => boolean,
): Promise<void> {
  const success = keys.map((name, index) =>
    deletes(index)
      ? { request: { case: 'requestDeleteRange' as const, value: { key: b(name) } } }
      : { request: { case: 'requestPut' as const, value: { key: b(name), value: b('txn') } } },
  );
  const message = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success }));
  const { code, message: text } = await direct.call('/etcdserverpb.KV/Txn', [message]);
  if (code !== 0) throw new Error(`txn: ${code} ${text}`);
}
