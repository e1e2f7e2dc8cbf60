/** A proxy with little memory for requests in front of an etcd, an honest client, and the highest memory meanwhile. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { residentBytes } from '../../bench/support/memory.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put } from '../support/watch-client.ts';

export const MIB = 1 << 20;
/** What may be held in these tests. */
export const LIMIT = 64 * MIB;
/**
 * Sockets, read buffers, copies of one message, and garbage that the collector has not seen yet: from 180 to 265 MiB, run by
 * run, where 600 MB pass by.
 */
const SLACK = 320 * MIB;

export const TOO_MUCH = 'etcd-connect-proxy: too much is held for requests (--max-request-bytes-in-flight)';
export const PUT = '/etcdserverpb.KV/Put';

/** A put of so many bytes. */
export function putOf(size: number): Uint8Array {
  return toBinary(
    PutRequestSchema,
    create(PutRequestSchema, { key: b('hoard'), value: Buffer.alloc(size, 7) }),
  );
}

export class MemoryScene implements AsyncDisposable {
  readonly etcd: EtcdCluster;
  readonly proxy: RunningProxy;
  readonly honest: RawGrpcClient;
  readonly #before: number;
  #most = 0;
  readonly #timer: NodeJS.Timeout;

  private constructor(etcd: EtcdCluster, proxy: RunningProxy, honest: RawGrpcClient) {
    this.etcd = etcd;
    this.proxy = proxy;
    this.honest = honest;
    this.#before = residentBytes(proxy.process.pid);
    this.#timer = setInterval(() => {
      this.#most = Math.max(this.#most, residentBytes(proxy.process.pid));
    }, 20);
  }

  static async begin(flags: readonly string[] = []): Promise<MemoryScene> {
    const etcd = await startEtcd();
    const limit = `--max-request-bytes-in-flight=${LIMIT}`;
    const proxy = await startProxy({ endpoints: etcd.endpoints, flags: [limit, ...flags] });
    const honest = new RawGrpcClient(proxy.address);
    await put(honest, 'honest', 'v');
    await metric(proxy.url, 'etcd_proxy_request_bytes_in_flight'); // reads the web door, which takes memory
    return new MemoryScene(etcd, proxy, honest);
  }

  /** What the proxy says that it holds. */
  held(): Promise<number> {
    return metric(this.proxy.url, 'etcd_proxy_request_bytes_in_flight');
  }

  /** Waits until much is held and some time has passed, and looks that it is not more than may be. */
  async crowded(extra = MIB): Promise<void> {
    await until('much is held', async () => (await this.held()) > LIMIT / 2);
    await this.bounded(extra);
  }

  /** Looks for some time that not more is held than may be. */
  async bounded(extra = MIB): Promise<void> {
    for (let i = 0; i < 10; i++) {
      const held = await this.held();
      assert.ok(held <= LIMIT + extra, `${held} bytes are held`);
      await sleep(100); // for what goes on
    }
  }

  refused(): Promise<number> {
    return metric(this.proxy.url, 'etcd_proxy_request_bytes_limit_total{reaction="refused"}');
  }

  /** Small calls of somebody else, one after the other. */
  async served(calls: number): Promise<void> {
    for (let i = 0; i < calls; i++) await put(this.honest, 'honest', `${i}`, { timeoutMs: 20_000 });
  }

  /** Within the bounds so far; and nothing is held once the clients are gone. */
  async settled(t: { diagnostic(text: string): void }): Promise<void> {
    const grown = this.#most - this.#before;
    t.diagnostic(`grew by ${grown >> 20} MiB at most`);
    assert.ok(grown < LIMIT + SLACK, `grew by ${grown} bytes`);
    await until('nothing is held', async () => (await this.held()) < MIB);
    await this.served(3);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.honest.close();
    await this.proxy.stop();
    await this.etcd.stop();
  }
}
