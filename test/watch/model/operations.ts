/** What can happen in a run of the model, as fast-check draws it, and how it is done. */
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { b, compact, put, remove } from '../../support/watch-client.ts';
import type { WatchingClient } from './client.ts';
import type { StoreHistory } from './history.ts';

/** Where operations take place. */
export interface World {
  /** Straight to etcd. */
  readonly direct: () => RawGrpcClient;
  readonly history: StoreHistory;
  readonly clients: readonly WatchingClient[];
  fault(kind: Fault, ms: number): Promise<void>;
}

/**
 * `cut`: the wires between proxy and etcd break; `hold`: they deliver later; `stall`: the proxy is held still;
 * `freeze`: the member in use is; `move`: another member leads; `kill`: the member in use dies and comes back.
 */
export type Fault = 'cut' | 'hold' | 'stall' | 'freeze' | 'move' | 'kill';

const number = (max: number) => fc.nat({ max });

/** Mostly up to one number, sometimes up to another: what is far in the past takes long to deliver. */
const mostly = (max: number, rarely: number) =>
  fc.oneof({ weight: 8, arbitrary: number(max) }, { weight: 1, arbitrary: number(rarely) });

/** A letter or two: few keys, so that watches overlap. */
const key = fc.constantFrom('a', 'b', 'b/1', 'b/2', 'b/2/x', 'c', 'd');

const range = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(key, fc.constant('')) },
  { weight: 3, arbitrary: fc.constant(['b/', 'b0'] as [string, string]) },
  fc.constantFrom<[string, string][]>(['a', 'c'], ['b', '\0'], ['\0', '\0'], ['b/2', 'b/3'], ['b/1', 'b/2']),
);

const rarely = fc.integer({ min: 0, max: 3 }).map((drawn) => drawn === 0);

const wish = fc.record({
  range,
  start: fc.oneof(
    { weight: 4, arbitrary: fc.record({ from: fc.constant('now' as const), by: fc.constant(0) }) },
    { weight: 4, arbitrary: fc.record({ from: fc.constant('past' as const), by: mostly(60, 3000) }) },
    {
      weight: 2,
      arbitrary: fc.record({ from: fc.constant('future' as const), by: fc.integer({ min: 1, max: 10 }) }),
    },
    fc.record({ from: fc.constant('first' as const), by: fc.constant(0) }),
  ),
  noPut: rarely,
  noDelete: rarely,
  prevKv: rarely,
  fragment: rarely,
  progress: rarely,
  serverChooses: fc.boolean(),
});

/** Several at once, as a client that begins would. */
const watch = fc.record({
  op: fc.constant('watch' as const),
  client: number(5),
  wishes: fc.array(wish, { minLength: 1, maxLength: 8 }),
});

const onWatch = <T extends string>(op: T) =>
  fc.record({ op: fc.constant(op), client: number(5), index: number(40) });

const onClient = <T extends string>(op: T) => fc.record({ op: fc.constant(op), client: number(5) });

const change = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('put' as const), key, size: number(3000) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('burst' as const), key, count: number(60) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), range }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('txn' as const),
      keys: fc.uniqueArray(key, { minLength: 1, maxLength: 5 }),
      deletes: number(2),
    }),
  },
);

/** More revisions than etcd gives a watch that catches up in one response; rare, since it takes a while. */
const flood = fc.record({
  op: fc.constant('flood' as const),
  key,
  count: fc.integer({ min: 1001, max: 1500 }),
});

/** More than fits into one response for a client that takes fragments; rare, since it takes a while. */
const heavy = fc.record({ op: fc.constant('heavy' as const), key });

const others = fc.oneof(
  { weight: 6, arbitrary: watch },
  onWatch('cancel'),
  onWatch('duplicate'),
  onClient('progress'),
  onClient('halfClose'),
  onClient('pause'),
  onClient('resume'),
  onClient('reconnect'),
  fc.record({ op: fc.constant('compact' as const), back: mostly(40, 4000) }),
  fc.record({ op: fc.constant('wait' as const), ms: number(30) }),
);

const fault = <T extends Fault>(ms: number, ...kinds: T[]) =>
  fc.record({ op: fc.constant('fault' as const), kind: fc.constantFrom(...kinds), ms: number(ms) });

/** Operations without faults. */
export const calm = fc.oneof(
  { weight: 60, arbitrary: change },
  { weight: 50, arbitrary: others },
  { weight: 1, arbitrary: flood },
  { weight: 1, arbitrary: heavy },
);

/** Operations with connections cut and held, and proxy and etcd standing still now and then. */
const rough = fc.oneof(
  { weight: 60, arbitrary: change },
  { weight: 50, arbitrary: others },
  { weight: 1, arbitrary: flood },
  { weight: 1, arbitrary: heavy },
  { weight: 8, arbitrary: fault(60, 'cut', 'hold', 'stall', 'freeze') },
);

/** The same with an etcd that dies and comes back, and leaders that move where there are several members. */
export const deadly = fc.oneof(
  { weight: 60, arbitrary: rough },
  { weight: 1, arbitrary: fault(400, 'kill', 'stall') },
  { weight: 2, arbitrary: fault(0, 'move') },
);

export type Operation = typeof deadly extends fc.Arbitrary<infer T> ? T : never;

const HEAVY_PUTS = 16;
const HEAVY_VALUE = 'v'.repeat(48 << 10);
/** The size of requests that a member has to take for these operations, in bytes: etcd fragments half a MiB above it. */
export const MAX_REQUEST_BYTES = 64 << 10;

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
      return write(txn(direct, operation.keys, operation.deletes));
    case 'compact':
      return write(compact(direct, history.compacting(history.revision - operation.back)));
    case 'watch': {
      for (const { start, range, ...options } of operation.wishes)
        client?.watch({ key: range[0], end: range[1], start: startOf(start, history), ...options });
      return;
    }
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

async function txn(direct: RawGrpcClient, keys: readonly string[], deletes: number): Promise<void> {
  const success = keys.map((name, index) =>
    index < deletes
      ? { request: { case: 'requestDeleteRange' as const, value: { key: b(name) } } }
      : { request: { case: 'requestPut' as const, value: { key: b(name), value: b('txn') } } },
  );
  const message = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success }));
  const { code, message: text } = await direct.call('/etcdserverpb.KV/Txn', [message]);
  if (code !== 0) throw new Error(`txn: ${code} ${text}`);
}
