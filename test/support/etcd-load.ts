/**
 * What something costs an etcd: by its own metrics, and by what its heap and stacks hold after a collection, which its
 * profiler tells where it was started with {@link PROFILED}.
 */
import type { EtcdMember } from './etcd-member.ts';

/** The flag of an etcd that tells its memory. */
export const PROFILED = '--enable-pprof';

/** What etcd has spent since it started. */
export interface EtcdSpent {
  /** Seconds of CPU. */
  readonly cpu: number;
  /** Bytes of gRPC messages to clients, and from them. */
  readonly sent: number;
  readonly received: number;
  /** Calls of any kind, streams among them. */
  readonly calls: number;
}

/** What etcd holds at a moment. */
export interface EtcdHeld {
  /** Watch streams of clients. */
  readonly streams: number;
  readonly watchers: number;
  /** Bytes of heap and stacks after a collection. */
  readonly memory: number;
}

const SPENT: Readonly<Record<keyof EtcdSpent, RegExp>> = {
  cpu: /^process_cpu_seconds_total (\S+)$/gm,
  sent: /^etcd_network_client_grpc_sent_bytes_total (\S+)$/gm,
  received: /^etcd_network_client_grpc_received_bytes_total (\S+)$/gm,
  calls: /^grpc_server_started_total\{.*\} (\S+)$/gm,
};

const STREAMS = /^etcd_debugging_mvcc_watch_stream_total (\S+)$/gm;
const WATCHERS = /^etcd_debugging_mvcc_watcher_total (\S+)$/gm;
const SLOW = /^etcd_debugging_mvcc_slow_watcher_total (\S+)$/gm;
const HEAP = /^# HeapAlloc = (\d+)$/gm;
const STACKS = /^# Stack = (\d+) \//gm;

async function page(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
  return text;
}

/** The sum of a series, over all of its labels. */
function sum(text: string, series: RegExp): number {
  const found = [...text.matchAll(series)];
  if (found.length === 0) throw new Error(`nothing like ${series}`);
  return found.reduce((total, [, value]) => total + Number(value), 0);
}

/** What an etcd has spent. */
export async function spentBy({ metricsUrl }: EtcdMember): Promise<EtcdSpent> {
  const text = await page(`${metricsUrl}/metrics`);
  const { cpu, sent, received, calls } = SPENT;
  return {
    cpu: sum(text, cpu),
    sent: sum(text, sent),
    received: sum(text, received),
    calls: sum(text, calls),
  };
}

/** Streams and watches that an etcd has. */
export async function watchesOf({ metricsUrl }: EtcdMember): Promise<Omit<EtcdHeld, 'memory'>> {
  const text = await page(`${metricsUrl}/metrics`);
  return { streams: sum(text, STREAMS), watchers: sum(text, WATCHERS) };
}

/** Watches of an etcd that have not been sent all that is for them. */
export async function slowOf({ metricsUrl }: EtcdMember): Promise<number> {
  return sum(await page(`${metricsUrl}/metrics`), SLOW);
}

/** Bytes that an etcd has in use on its heap and as stacks; a stack shrinks by half in each collection. */
export async function memoryOf({ url }: { readonly url: string }): Promise<number> {
  let bytes = 0;
  for (let collections = 0; collections < 3; collections++) {
    const text = await page(`${url}/debug/pprof/heap?gc=1&debug=1`);
    bytes = sum(text, HEAP) + sum(text, STACKS);
  }
  return bytes;
}

/** What an etcd holds. */
export async function heldBy(member: EtcdMember): Promise<EtcdHeld> {
  return { ...(await watchesOf(member)), memory: await memoryOf(member) };
}
