/**
 * The watch hub against what really happened. Random changes, random watchers that come, go, stop reading and come
 * back; each must have seen exactly the events of its range and options, in order. fast-check prints the seed of a
 * failure and makes the run shorter. `MODEL_RUNS` sets how many runs there are, `MODEL_SEED` repeats one.
 */
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { availableEtcds, type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { put } from '../support/watch-client.ts';
import { CutRelay } from './cut-relay.ts';
import { WatchingClient } from './model/client.ts';
import { StoreHistory } from './model/history.ts';
import { calm, deadly, type Fault, type Operation, perform, rough } from './model/operations.ts';

const runs = Number(process.env.MODEL_RUNS ?? 16);
const seed = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const LIMIT_MS = 30_000;

/** Flags under which everything is served from history, and under which nothing can be. */
const SETTINGS: readonly (readonly [name: string, ...flags: string[]])[] = [
  ['with history'],
  [
    'with hardly any history',
    '--watch-history-bytes=20000',
    '--watch-history-revisions=5',
    '--watch-linger=0s',
  ],
];

class Bench implements AsyncDisposable {
  readonly etcd: EtcdCluster;
  readonly relay: CutRelay;
  readonly proxy: RunningProxy;
  readonly direct: RawGrpcClient;
  readonly history: StoreHistory;
  watches = 0;

  private constructor(etcd: EtcdCluster, relay: CutRelay, proxy: RunningProxy) {
    this.etcd = etcd;
    this.relay = relay;
    this.proxy = proxy;
    this.direct = new RawGrpcClient(etcd.first.address);
    this.history = new StoreHistory(this.direct, 1);
  }

  static async start(install: EtcdCluster['install'], flags: readonly string[]): Promise<Bench> {
    const etcd = await startEtcd({ install, watchProgressIntervalMs: 200 });
    const relay = await CutRelay.start(etcd.first.address);
    return new Bench(etcd, relay, await startProxy({ endpoints: [relay.address], flags }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.history.close();
    this.direct.close();
    await this.proxy.stop();
    await this.relay[Symbol.asyncDispose]();
    await this.etcd.stop();
  }

  async fault(kind: Fault): Promise<void> {
    if (kind === 'cut') this.relay.cut();
    else if (kind === 'kill') {
      await this.etcd.first.kill();
      await this.etcd.first.start();
    } else {
      this.proxy.process.signal('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 30));
      this.proxy.process.signal('SIGCONT');
    }
  }

  /** A change of which the revision is known, as soon as etcd takes it. */
  private async putLast(): Promise<number> {
    for (;;) {
      try {
        return await put(this.direct, 'b/2', 'the last');
      } catch (error) {
        if (!/: 14 /.test(String(error))) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** One run: does everything, waits until everybody has had what happened, compares. */
  async run(operations: readonly Operation[]): Promise<void> {
    const { history } = this;
    let changed = Promise.withResolvers<void>();
    const tell = (): void => {
      changed.resolve();
      changed = Promise.withResolvers();
    };
    const grpc = [new RawGrpcClient(this.proxy.address), new RawGrpcClient(this.proxy.address)];
    const clients = [0, 1, 2, 3].map((i) => new WatchingClient(grpc[i % 2] as RawGrpcClient, tell));
    try {
      const world = { direct: this.direct, history, clients, fault: (kind: Fault) => this.fault(kind) };
      for (const operation of operations) await perform(operation, world);
      for (const client of clients) client.resume();
      await history.reach(await this.putLast());
      const watches = clients.flatMap((client) => client.watches);
      this.watches += watches.length;
      const deadline = Date.now() + LIMIT_MS;
      const waiting = () =>
        watches.some((watch) => watch.live && (watch.start === undefined || !watch.complete(history.events)));
      while (waiting() && Date.now() < deadline && clients.every(({ failure }) => failure === undefined))
        await Promise.race([changed.promise, new Promise((resolve) => setTimeout(resolve, 500))]);
      const problems = [
        ...clients.flatMap(({ failure }) => failure ?? []),
        ...watches.flatMap((watch) =>
          watch
            .problems(history.events)
            .map((problem) => `${problem}: ${JSON.stringify(watch.wish)} from ${watch.start}`),
        ),
      ];
      if (problems.length > 0) throw new Error(problems.join('\n'));
    } finally {
      for (const client of clients) client.close();
      for (const client of grpc) client.close();
    }
  }
}

const all = await availableEtcds();
/** The oldest and the newest, or with `MODEL_ALL` every release at hand. */
const installs = process.env.MODEL_ALL ? all : all.filter((_, i) => i === 0 || i === all.length - 1);

for (const install of installs) {
  for (const [name, ...flags] of SETTINGS) {
    describe(`etcd ${install.version} ${name}`, () => {
      let bench: Bench;
      before(async () => {
        bench = await Bench.start(install, flags);
      });
      after(() => bench[Symbol.asyncDispose]());
      for (const [what, operation, part] of [
        ['watches see what happened', calm, 1],
        ['also through faults', rough, 1],
        ['also when etcd dies', deadly, 0.25],
      ] as const) {
        test(what, async (context) => {
          const numRuns = Math.ceil((runs * part) / installs.length);
          const property = fc.asyncProperty(
            fc.array(operation as fc.Arbitrary<Operation>, { minLength: 20, maxLength: 120, size: 'max' }),
            (operations) => bench.run(operations),
          );
          await fc.assert(property, {
            numRuns,
            seed,
            interruptAfterTimeLimit: 300_000,
            ...(process.env.MODEL_SHRINK ? {} : { endOnFailure: true }),
          });
          context.diagnostic(`${numRuns} runs, ${bench.watches} watches so far, seed ${seed}`);
        });
      }
    });
  }
}
