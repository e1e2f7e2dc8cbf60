/** What a run of the model takes place on: an etcd of one or three members, wires to it, the proxy, and its faults. */
import { setTimeout as sleep } from 'node:timers/promises';
import { progressIsSafe } from '../../../src/etcd/release.ts';
import { type EtcdCluster, type EtcdInstall, startEtcd } from '../../support/etcd.ts';
import { GrpcTap } from '../../support/grpc-tap.ts';
import { moveLeader } from '../../support/leader.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { RawGrpcClient } from '../../support/raw-grpc.ts';
import { Relay } from '../../support/relay.ts';
import { until } from '../../support/until.ts';
import { put } from '../../support/watch-client.ts';
import { HeapFolder } from './heap.ts';
import { StoreHistory } from './history.ts';
import type { Fault } from './operations.ts';
import { FRAGMENT_BYTES, HUGE_OPERATIONS } from './perform.ts';
import { sessionsTo } from './sessions.ts';
import { UpstreamRecord } from './upstream-record.ts';

/** Which etcd, and the proxy's flags. */
export interface BenchOptions {
  readonly install: EtcdInstall;
  readonly members: number;
  readonly flags: readonly string[];
  /** Streams that etcd allows on a connection, where it has a limit. */
  readonly streams?: number;
}

/** How often etcd tells watches their progress, in milliseconds. */
const PROGRESS_MS = 200;

/** A client of a member that may go away and come back soon. */
const direct = (address: string): RawGrpcClient =>
  new RawGrpcClient(address, {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 200,
  });

/** Used for one run after the other; its store only grows. */
export class Bench implements AsyncDisposable {
  readonly history: StoreHistory;
  readonly record: UpstreamRecord;
  /** How often each fault has happened, and each shape of a run. */
  readonly faults: Record<string, number> = {};
  proxy: RunningProxy;
  readonly #etcd: EtcdCluster;
  readonly #relays: readonly Relay[];
  readonly #clients: readonly RawGrpcClient[];
  readonly #flags: readonly string[];
  readonly #streams: number | undefined;
  readonly #heap: HeapFolder;
  /** The member that is away, and its return. */
  #away: { readonly index: number; readonly back: Promise<void> } | undefined;

  private constructor(
    etcd: EtcdCluster,
    relays: readonly Relay[],
    proxy: RunningProxy,
    { flags, streams }: BenchOptions,
    record: UpstreamRecord,
    heap: HeapFolder,
  ) {
    this.record = record;
    this.#heap = heap;
    this.#streams = streams;
    this.#etcd = etcd;
    this.#relays = relays;
    this.#flags = flags;
    this.proxy = proxy;
    this.#clients = etcd.endpoints.map(direct);
    this.history = new StoreHistory(() => this.direct, 1);
  }

  static async start(options: BenchOptions): Promise<Bench> {
    const { install, members, streams } = options;
    const flags = [`--watch-fragment-bytes=${FRAGMENT_BYTES}`, ...(options.flags ?? [])];
    const timing = members > 1 ? { heartbeatMs: 50, electionMs: 500 } : {};
    const limit = streams === undefined ? [] : [`--max-concurrent-streams=${streams}`];
    const args = [`--max-txn-ops=${HUGE_OPERATIONS}`, ...limit];
    const settings = { args, watchProgressIntervalMs: PROGRESS_MS };
    const etcd = await startEtcd({ install, members, ...settings, ...timing });
    const record = new UpstreamRecord();
    const opened = etcd.endpoints.map((endpoint, member) =>
      Relay.open(endpoint, { tap: () => new GrpcTap((path) => record.listen(member, path)) }),
    );
    const relays = await Promise.all(opened);
    const endpoints = relays.map(({ address }) => address);
    const heap = await HeapFolder.make();
    const proxy = await startProxy({ endpoints, flags, env: heap.env });
    return new Bench(etcd, relays, proxy, { ...options, flags }, record, heap);
  }

  /** Whether etcd's progress responses can be relied on, so that clients must get them. */
  get progressIsSafe(): boolean {
    return progressIsSafe(this.#etcd.install.version);
  }

  /**
   * Whether this etcd leaves out a delete where a watch begins, or goes on, at the very revision that was compacted: a
   * compaction there takes the delete as well (etcd issue 18089, mended in 3.4.34 and 3.5.16).
   */
  get losesDeletes(): boolean {
    const { minor, patch } = this.#etcd.install;
    return minor < 4 || (minor === 4 && patch < 34) || (minor === 5 && patch < 16);
  }

  /** A way to etcd that does not pass the proxy, by a member that is there. */
  get direct(): RawGrpcClient {
    const there = this.#clients.filter((_, index) => index !== this.#away?.index);
    return there[Math.floor(Math.random() * there.length)] ?? (this.#clients[0] as RawGrpcClient);
  }

  /** Starts the proxy anew: what went wrong in one run must not go on in the next. */
  async renew(): Promise<void> {
    await this.proxy.stop();
    this.proxy = await startProxy({
      endpoints: this.#relays.map(({ address }) => address),
      flags: this.#flags,
      env: this.#heap.env,
    });
  }

  /** Makes a fault; it may outlast the call. */
  async fault(kind: Fault, ms: number): Promise<void> {
    if (kind !== 'move') this.count(kind);
    switch (kind) {
      case 'cut':
        for (const relay of this.#relays) relay.cut();
        return;
      case 'hold':
        for (const relay of this.#relays) relay.hold();
        setTimeout(() => this.#release(), ms);
        return;
      case 'stall':
        this.proxy.process.signal('SIGSTOP');
        await sleep(ms);
        this.proxy.process.signal('SIGCONT');
        return;
      case 'freeze': {
        const member = this.#etcd.member(this.#inUse());
        member.pause();
        await sleep(ms);
        return member.resume();
      }
      case 'move':
        return this.#move();
      case 'kill':
        await this.settled();
        this.#away = this.#kill(this.#inUse(), ms);
        // Of one member nothing would be left meanwhile.
        if (this.#etcd.members.length === 1) await this.settled();
    }
  }

  /** An operation has been done; watches that were more than the streams of a connection are counted. */
  happened(operation: string): void {
    if (operation === 'many' || operation === 'huge') this.count(operation);
    if (this.record.size > (this.#streams ?? Number.POSITIVE_INFINITY)) this.count('crowded');
  }

  /** Something has happened. */
  count(what: string): void {
    this.faults[what] = (this.faults[what] ?? 0) + 1;
  }

  /** What the proxy has to say of itself, for the report of a failure. */
  async state(): Promise<string> {
    const text = await (
      await fetch(`${this.proxy.url}/proxy/metrics`, { signal: AbortSignal.timeout(5000) })
    ).text();
    const gauges = text.match(/^etcd_proxy_(watch|http2|request)_.* \S+$/gm) ?? [];
    const clients = ['connections of clients:', ...sessionsTo(this.proxy.address)];
    return [
      ...gauges,
      ...clients,
      ...(await this.#heap.state(this.proxy)),
      ...this.proxy.stderr.slice(-10),
    ].join('\n');
  }

  /** All members are there again. */
  async settled(): Promise<void> {
    this.#release();
    await this.#away?.back;
    this.#away = undefined;
  }

  /** A change of which the revision is known, as soon as etcd takes it. */
  async putLast(): Promise<number> {
    return until('etcd takes the last change', async () => {
      try {
        return await put(this.direct, 'b/2', 'the last');
      } catch (error) {
        if (!/: (2|4|14) /.test(String(error))) throw error;
        return undefined;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.history.close();
    await this.settled();
    for (const client of this.#clients) client.close();
    await this.proxy.stop();
    for (const relay of this.#relays) await relay[Symbol.asyncDispose]();
    await this.#etcd.stop();
    await this.#heap[Symbol.asyncDispose]();
  }

  #release(): void {
    for (const relay of this.#relays) relay.release();
  }

  /** The member that the proxy is connected to, else the first. */
  #inUse(): number {
    return Math.max(
      0,
      this.#relays.findIndex(({ connections }) => connections > 0),
    );
  }

  #kill(index: number, ms: number): { index: number; back: Promise<void> } {
    const member = this.#etcd.member(index);
    const back = async (): Promise<void> => {
      await member.kill();
      await sleep(ms);
      await member.start();
    };
    return { index, back: back() };
  }

  async #move(): Promise<void> {
    if (this.#etcd.members.length === 1) return;
    try {
      await moveLeader(this.#etcd);
      this.count('move');
    } catch {
      this.count('refused move'); // the other is behind; another move will do
    }
  }
}
