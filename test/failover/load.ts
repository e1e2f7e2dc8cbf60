/**
 * Load for fail-over tests: loops of reads and writes that note every failure, and a watch that resumes from its
 * last revision as etcd's own clients do.
 */
import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';

/** Long enough for a fail-over and an election on a busy machine. */
const DEADLINE_MS = 30_000;

/** Clients of one proxy or etcd, on a connection of their own. */
export interface Clients {
  readonly kv: Client<typeof KV>;
  readonly watch: Client<typeof Watch>;
}

/** Opens clients to `http://host:port`. */
export function connectTo(baseUrl: string): Clients {
  const transport = createGrpcTransport({ baseUrl });
  return { kv: createClient(KV, transport), watch: createClient(Watch, transport) };
}

/** Text as a key or value. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Reads one key in a loop until stopped. */
export async function readLoop(
  kv: Clients['kv'],
  key: string,
  stop: AbortSignal,
  failures: ConnectError[],
): Promise<number> {
  let reads = 0;
  while (!stop.aborted) {
    try {
      await kv.range({ key: bytes(key) }, { timeoutMs: DEADLINE_MS });
      reads++;
    } catch (error) {
      failures.push(ConnectError.from(error));
    }
  }
  return reads;
}

/** What became of a write: answered, or not known. */
export interface Write {
  readonly key: string;
  readonly failure: ConnectError | undefined;
}

/** Writes each key once, in a loop until stopped, never again after a failure. */
export async function writeLoop(kv: Clients['kv'], prefix: string, stop: AbortSignal): Promise<Write[]> {
  const writes: Write[] = [];
  while (!stop.aborted) {
    const key = `${prefix}${String(writes.length).padStart(6, '0')}`;
    let failure: ConnectError | undefined;
    try {
      await kv.put({ key: bytes(key), value: bytes('x') }, { timeoutMs: DEADLINE_MS });
    } catch (error) {
      failure = ConnectError.from(error);
    }
    writes.push({ key, failure });
  }
  return writes;
}

/** What a resuming watch saw. */
export interface Watched {
  readonly keys: string[];
  readonly endings: ConnectError[];
}

/** Watches a prefix; when the stream ends with UNAVAILABLE, opens another from the revision after the last one. */
export async function watchLoop(
  clients: Clients,
  prefix: string,
  stop: AbortSignal,
  seen: Watched,
): Promise<void> {
  let next = 1n;
  while (!stop.aborted) {
    try {
      for await (const response of clients.watch.watch(request(prefix, next, stop), { signal: stop })) {
        for (const event of response.events) {
          seen.keys.push(new TextDecoder().decode(event.kv?.key));
          next = (event.kv?.modRevision ?? 0n) + 1n;
        }
      }
    } catch (error) {
      if (stop.aborted) return;
      const ending = ConnectError.from(error);
      seen.endings.push(ending);
      if (ending.code !== Code.Unavailable) return;
    }
  }
}

async function* request(prefix: string, startRevision: bigint, stop: AbortSignal) {
  const value = { key: bytes(prefix), rangeEnd: bytes(`${prefix.slice(0, -1)}0`), startRevision };
  yield { requestUnion: { case: 'createRequest' as const, value } };
  await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
}
