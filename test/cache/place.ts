/** The validated cache in this process, in front of a real etcd: with nothing between it and the test but bytes. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { ReadCache } from '../../src/cache/read-cache.ts';
import { Permissions } from '../../src/clients/permission.ts';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { SeenUpstream } from '../../src/clients/seen-upstream.ts';
import { Flights } from '../../src/flights/flights.ts';
import type { UnaryUpstream } from '../../src/rpc/contract.ts';
import { WatchHub } from '../../src/watch/hub.ts';
import { clientInProcess, clientOf, connect, type KvClient } from '../reads/clients.ts';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { CutRelay } from '../watch/cut-relay.ts';
import type { Belief } from './broken-rules.ts';

export type RangeFields = MessageInitShape<typeof RangeRequestSchema>;

/** The encoded request of a serializable read. */
export function serializable(fields: RangeFields): Uint8Array {
  return toBinary(RangeRequestSchema, create(RangeRequestSchema, { ...fields, serializable: true }));
}

const nothing = (): void => {};

export interface PlaceOptions {
  readonly install?: EtcdInstall;
  readonly maxBytes?: number;
  readonly maxFeeds?: number;
  /** What the cache is to believe that clients have seen, where that is not the truth. */
  readonly belief?: Belief;
  /** Stands between the cache and etcd. */
  readonly between?: (below: UnaryUpstream) => UnaryUpstream;
}

/** An etcd, a wire that can be cut, and the cache behind it. Nothing is written but by the test. */
export async function setUp(held: AsyncDisposableStack, options: PlaceOptions = {}) {
  const { install, maxBytes = 1 << 20, maxFeeds = 100, belief, between } = options;
  const seen = new SeenRevision();
  const etcd = held.use(await startEtcd(install === undefined ? {} : { install }));
  const relay = held.use(await CutRelay.start(etcd.first.address));
  const cluster = connect(relay.address);
  held.defer(() => cluster.close());
  const hub = new WatchHub({
    upstream: cluster,
    historyBytes: 1 << 22,
    historyRevisions: 10_000,
    maxRevisionBytes: 1 << 22,
    fragmentBytes: 1 << 21,
    linger: 0,
  });
  held.defer(() => hub.close());
  const upstream = new SeenUpstream(cluster, seen, {
    reads: () => false,
    strict: false,
    elsewhere: async () => undefined,
  });
  const limits = { maxFlights: 10_000, maxPassengers: 10_000, maxKeyBytes: 8192 };
  const flights = new Flights(upstream, limits, {
    onSent: nothing,
    onEnded: nothing,
    onJoined: nothing,
    onRefused: (limit) => assert.fail(limit),
  });
  const permissions = new Permissions();
  const cache = new ReadCache(between?.(flights) ?? flights, {
    hub,
    permissions,
    seen: belief?.(seen) ?? seen,
    maxBytes,
    maxFeeds,
  });
  const through: KvClient = clientInProcess((request, call) =>
    call.method.name === 'Range' ? cache.unary(request, call) : upstream.unary(request, call),
  );
  const direct = clientOf(etcd.first.address);

  /** Reads until the answer came from memory. */
  async function warm(fields: RangeFields) {
    for (const end = performance.now() + 20_000; performance.now() < end; await sleep(2)) {
      const { hits } = cache.stats;
      const reply = await through.range({ ...fields, serializable: true });
      if (cache.stats.hits > hits) return reply;
    }
    return assert.fail(`never remembered: ${JSON.stringify(cache.stats)}`);
  }

  return { etcd, relay, hub, permissions, seen, cache, through, direct, warm };
}

export type Place = Awaited<ReturnType<typeof setUp>>;
