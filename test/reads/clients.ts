/** Clients of KV that write down what they do: through a network, or straight into a handler of this process. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import type { KeyValue } from '#gen/mvccpb/kv_pb.js';
import { FixedEndpoints } from '../../src/endpoints/fixed-endpoints.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import type { UnaryHandler } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { ClientTls } from '../../src/tls/client-tls.ts';
import { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { PingIntervals } from '../../src/upstream/ping-intervals.ts';
import { methodOf } from '../support/methods.ts';
import type { Change, History, Pair } from './history.ts';

/** A client of etcd's KV. */
export type KvClient = Client<typeof KV>;

/** A client with one connection of its own to `host:port`, that has nothing in common with the proxy. */
export function clientOf(address: string): KvClient {
  return createClient(KV, createGrpcTransport({ baseUrl: `http://${address}` }));
}

/** A client whose calls go to a handler, without a connection. */
export function clientInProcess(handler: UnaryHandler): KvClient {
  const transport: Transport = {
    async unary(method, _signal, timeoutMs, _header, input) {
      const request = toBinary(method.input, create(method.input, input));
      const call = new OwnCall(methodOf(method), NO_METADATA, performance.now() + (timeoutMs ?? 60_000));
      const message = fromBinary(method.output, await handler(request, call));
      const [header, trailer] = [new Headers(), new Headers()];
      return { stream: false, service: method.parent, method, header, trailer, message };
    },
    stream() {
      throw new Error('no streams here');
    },
  };
  return createClient(KV, transport);
}

const nothing = (): void => {};

/** So long a call of a client waits for its connection, on a busy machine too. */
export const PATIENT_MS = 10_000;

/** Calls to `host:port` by the proxy's own client of etcd. */
export function connect(address: string, dialTimeout = 2000): ClusterClient {
  const cluster = new ClusterClient({
    source: new FixedEndpoints([parseEndpoint(address)]),
    dialTimeout,
    maxWaiting: 1000,
    maxConnections: 8,
    maxReceiveBytes: 2 ** 31 - 1,
    http2: {},
    pings: new PingIntervals(0),
    tls: new ClientTls(
      { pair: undefined, ca: undefined, verify: true },
      { onLoaded: nothing, onReloaded: nothing, onReloadFailed: nothing },
    ),
    observer: {
      onAnswered: nothing,
      onRetried: nothing,
      onConnected: nothing,
      onLost: nothing,
      onDialFailed: nothing,
      onClosed: nothing,
      onSwitched: nothing,
      onAsked: nothing,
      onWaitingFull: nothing,
      onNoStream: nothing,
      onLimit: nothing,
      onFault: nothing,
    },
  });
  cluster.start();
  return cluster;
}

/** A client like {@link clientOf} that costs this process little: under load its clock and its faults stay on time. */
export function lightClientOf(address: string, held: AsyncDisposableStack): KvClient {
  const cluster = connect(address, PATIENT_MS);
  held.defer(() => cluster.close());
  return clientInProcess((request, call) => cluster.unary(request, call));
}

export const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

function pairOf(kv: KeyValue): Pair {
  return {
    key: text(kv.key),
    value: text(kv.value),
    createRevision: Number(kv.createRevision),
    modRevision: Number(kv.modRevision),
    version: Number(kv.version),
  };
}

/** Reads one key, or all keys of a sorted list, which must be all there are from its first to its last. */
export async function read(
  client: KvClient,
  by: string,
  keys: readonly string[],
  history: History,
  serializable = false,
): Promise<void> {
  const rangeEnd = keys.length === 1 ? new Uint8Array() : bytes(`${keys.at(-1)}\0`);
  const invoked = history.now();
  const reply = await client.range(
    { key: bytes(keys[0] as string), rangeEnd, serializable },
    { timeoutMs: 10_000 },
  );
  const completed = history.now();
  const revision = Number(reply.header?.revision);
  history.reads.push({ by, keys, invoked, completed, revision, pairs: reply.kvs.map(pairOf) });
}

/** Puts and deletes at once. A write that fails is noted as one of unknown fate, and the failure returned. */
export async function write(
  client: KvClient,
  by: string,
  changes: ReadonlyMap<string, string | undefined>,
  history: History,
): Promise<unknown> {
  const success = [...changes].map(([key, value]) =>
    value === undefined
      ? { request: { case: 'requestDeleteRange' as const, value: { key: bytes(key) } } }
      : { request: { case: 'requestPut' as const, value: { key: bytes(key), value: bytes(value) } } },
  );
  const invoked = history.now();
  try {
    const { header } = await client.txn({ success }, { timeoutMs: 10_000 });
    history.writes.push({
      by,
      changes,
      invoked,
      completed: history.now(),
      revision: Number(header?.revision),
    });
    return undefined;
  } catch (error) {
    history.writes.push({ by, changes, invoked, completed: Number.POSITIVE_INFINITY, revision: undefined });
    return error;
  }
}

/** The store's own account of all that ever happened in it. */
export async function logOf(address: string): Promise<Change[]> {
  const transport = createGrpcTransport({ baseUrl: `http://${address}` });
  const { header } = await createClient(KV, transport).range({ key: bytes('\0') });
  const last = Number(header?.revision);
  const log: Change[] = [];
  const stop = new AbortController();
  const value = { key: bytes('\0'), rangeEnd: bytes('\0'), startRevision: 1n };
  async function* request() {
    yield { requestUnion: { case: 'createRequest' as const, value } };
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
  }
  for await (const { events } of createClient(Watch, transport).watch(request())) {
    for (const { type, kv } of events) {
      const revision = Number(kv?.modRevision);
      log.push({ revision, key: text(kv?.key), value: type === 1 ? undefined : text(kv?.value) });
    }
    if ((log.at(-1)?.revision ?? 0) >= last) break;
  }
  stop.abort();
  return log;
}
