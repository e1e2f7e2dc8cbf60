/** Where a case of load takes place: an etcd, with or without a proxy before it, and what the case costs that etcd. */
import { setTimeout as sleep } from 'node:timers/promises';
import { untilServing } from '../../mirror/support.ts';
import { type EtcdCluster, type EtcdInstall, startEtcd } from '../../support/etcd.ts';
import {
  type EtcdHeld,
  type EtcdSpent,
  heldBy,
  PROFILED,
  slowOf,
  spentBy,
  watchesOf,
} from '../../support/etcd-load.ts';
import { metric } from '../../support/metrics.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { type CallOptions, RawGrpcClient } from '../../support/raw-grpc.ts';
import { LONG } from '../../support/releases.ts';
import { until } from '../../support/until.ts';
import { type Create, put, WatchCall } from '../../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../../support/watch-load.ts';

/** The prefix that the proxy holds in memory. */
export const MIRRORED = 'mirrored/';

/** What a case costs etcd: what it spends until all is done, and what it holds while everything is open. */
export type Cost = EtcdSpent & EtcdHeld;

/** Which sides a case is done on. */
export type Through = 'direct' | 'proxy';

/** What etcd has counts as what it keeps when it has been the same for so long. */
const QUIET_MS = 200;
/** Only what fails takes so long. */
const LIMIT_MS = LONG ? 180_000 : 30_000;

function less<T extends { readonly [name in keyof T]: number }>(all: T, part: T): T {
  const names = Object.keys(all) as (keyof T)[];
  return Object.fromEntries(names.map((name) => [name, all[name] - part[name]])) as T;
}

/** What etcd held while everything was open, and what it spent on telling it. */
interface Seen {
  readonly held: EtcdHeld;
  readonly spent: EtcdSpent;
}

/** One side of the comparison. Cases take place one after the other. */
export class Stage implements AsyncDisposable {
  /** What the clients of cases connect to. */
  readonly address: string;
  /** A way to etcd past the proxy, by which the store is changed. */
  readonly direct: RawGrpcClient;
  readonly #etcd: EtcdCluster;
  readonly #proxy: RunningProxy | undefined;
  readonly #all: AsyncDisposableStack;
  #open = new DisposableStack();
  #before: EtcdHeld | undefined;
  #seen: Seen | undefined;

  private constructor(etcd: EtcdCluster, proxy: RunningProxy | undefined, all: AsyncDisposableStack) {
    this.address = proxy?.address ?? etcd.first.address;
    this.#etcd = etcd;
    this.#proxy = proxy;
    this.#all = all;
    this.direct = all.use(new RawGrpcClient(etcd.first.address));
  }

  /** Starts it. @param args further flags of etcd */
  static async start(through: Through, install: EtcdInstall, args: readonly string[]): Promise<Stage> {
    await using held = new AsyncDisposableStack();
    const etcd = held.use(await startEtcd({ install, args: [...args, PROFILED] }));
    let proxy: RunningProxy | undefined;
    if (through === 'proxy') {
      // Nothing of one case may be left for the next.
      const flags = [`--cache-prefix=${MIRRORED}`, '--watch-linger=0s'];
      proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags }));
      await untilServing(proxy.url, MIRRORED);
    }
    const stage = new Stage(etcd, proxy, held.move());
    await put(stage.direct, 'first', 'v');
    return stage;
  }

  /** A client that is there until the end of the case. */
  client(): RawGrpcClient {
    return this.#open.use(new RawGrpcClient(this.address));
  }

  /** A stream of watches of such a client. */
  watch(client: RawGrpcClient, options?: CallOptions): WatchCall {
    const call = new WatchCall(client, options);
    this.#open.defer(() => call.close());
    return call;
  }

  /** So many streams with these watches each, all confirmed, on one connection until the end of the case. */
  async crowd(streams: number, watches: (stream: number) => readonly Create[]): Promise<Crowd> {
    const connection = this.#open.use(await LoadConnection.open(this.address));
    const crowd = new Crowd(connection);
    let count = 0;
    for (let i = 0; i < streams; i++) {
      const wishes = watches(i);
      count += wishes.length;
      crowd.streams.push(new LoadStream(connection, crowd.counts, wishes));
    }
    await crowd.reach(() => crowd.counts.created === count);
    return crowd;
  }

  /** How many watches lag: of those that the clients are connected to. */
  lagging(): Promise<number> {
    if (this.#proxy === undefined) return slowOf(this.#etcd.first);
    return metric(this.#proxy.url, 'etcd_proxy_watch_lagging_watchers');
  }

  /** To be called when all that the case needs is open: sees what etcd holds. */
  async hold(): Promise<void> {
    const { first } = this.#etcd;
    let last = '';
    await until('etcd keeps the watches that it has, and has sent what it sends', async () => {
      const { sent } = await spentBy(first);
      const now = JSON.stringify({ sent, ...(await watchesOf(first)) });
      const same = now === last;
      last = now;
      if (!same) await sleep(QUIET_MS);
      return same;
    });
    const before = await spentBy(first);
    const held = await heldBy(first);
    this.#seen = { held, spent: less(await spentBy(first), before) };
  }

  /** What a case costs etcd, above what it had before, and leaves nothing of it behind. */
  async cost(run: (stage: Stage) => Promise<void>): Promise<Cost> {
    const { first } = this.#etcd;
    this.#seen = undefined;
    const held = await heldBy(first);
    this.#before = held;
    try {
      const begun = await spentBy(first);
      await run(this);
      const all = less(await spentBy(first), begun);
      const seen = this.#whatWasSeen();
      return { ...less(all, seen.spent), ...less(seen.held, held) };
    } finally {
      await this.leave();
    }
  }

  /** Ends what the case has opened, and waits until etcd has none of it: for cases in which that costs something. */
  async leave(): Promise<void> {
    const before = this.#before;
    this.#open.dispose();
    this.#open = new DisposableStack();
    await until('what a case has opened is gone', async () => {
      const { streams, watchers } = await watchesOf(this.#etcd.first);
      return before !== undefined && streams <= before.streams && watchers <= before.watchers;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.dispose();
    await this.#all.disposeAsync();
  }

  #whatWasSeen(): Seen {
    if (this.#seen === undefined) throw new Error('the case has not said when all is open');
    return this.#seen;
  }
}

/** Streams of watches, counted together. */
export class Crowd {
  readonly counts = new LoadCounts();
  readonly streams: LoadStream[] = [];
  readonly #connection: LoadConnection;

  constructor(connection: LoadConnection) {
    this.#connection = connection;
  }

  /** Reads nothing more until it is released. */
  stop(): void {
    this.#connection.hold();
  }

  go(): void {
    this.#connection.release();
  }

  /** Waits until something about the counts holds. @throws where a stream ends before */
  async reach(holds: () => boolean): Promise<void> {
    const { counts } = this;
    await counts.reach(() => holds() || counts.ended > 0, LIMIT_MS);
    if (holds()) return;
    const ending = this.streams.find(({ ending }) => ending !== undefined)?.ending;
    throw new Error(`${counts.ended} streams ended, the first by ${JSON.stringify(ending)}`);
  }

  /** Waits until exactly so many events have come. */
  async events(count: number): Promise<void> {
    await this.reach(() => this.counts.events >= count);
    if (this.counts.events !== count) throw new Error(`${this.counts.events} events instead of ${count}`);
  }
}
