/**
 * Deletes of very many keys by one request, and very large transactions, under a watched prefix: they arrive whole, once
 * and in order, for watches that are in step, for those whose clients did not read, and for those that begin in the past,
 * with filters, previous values, parts of the range and fragments. What the proxy bears meanwhile is printed and has
 * bounds: memory, and the longest turn of its event loop. `LONG=1` deletes a million keys, with transactions of a hundred
 * thousand operations; `HUGE_KEYS` and `HUGE_OPERATIONS` set other numbers.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { mib, peakOf, residentBytes } from '../../bench/support/memory.ts';
import { atLeast, type EtcdCluster, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { metric, proxyMetrics } from '../support/metrics.ts';
import { PRESSED, pressureOn } from '../support/pressure.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { LoadConnection, LoadCounts } from '../support/watch-load.ts';
import { fill, perform } from './huge/store.ts';
import { type Size, Story, type Wish } from './huge/story.ts';
import { HugeWatch } from './huge/watch.ts';

/** In the short form longer keys make as many bytes of fewer events, so that etcd cuts them into fragments too. */
const SIZE: Size = {
  keys: Number(process.env.HUGE_KEYS ?? (LONG ? 1_000_000 : 6000)),
  operations: Number(process.env.HUGE_OPERATIONS ?? (LONG ? 100_000 : 1000)),
  padding: LONG ? 0 : 350,
};
/** The largest request is a transaction; etcd's fragments are half a MiB larger. */
const REQUEST_BYTES = SIZE.operations * (SIZE.padding + 32);
/** How long everything may take to arrive. */
const LIMIT_MS = LONG ? 900_000 : 60_000;

/** What the proxy may grow by. */
const RESIDENT_BYTES = (LONG ? 1500 : 400) << 20;
/** The longest turn of its event loop, by its CPU, collections of garbage and all, in milliseconds. */
const TURN_MS = 50;

/** Who has missed something gets it from history, and where that has been forgotten, from etcd. */
const SETTINGS: readonly { readonly name: string; readonly flags: readonly string[] }[] = [
  { name: 'with history', flags: [] },
  { name: 'with hardly any history', flags: ['--watch-history-bytes=20000', '--watch-history-revisions=2'] },
];

const WISHES: readonly Wish[] = [
  { name: 'all' },
  { name: 'with previous values', prevKv: true },
  { name: 'deletes alone', noPut: true },
  { name: 'puts alone', noDelete: true },
  { name: 'a part', part: [0.3, 0.9] },
  { name: 'a part with previous values', part: [0.5, 0.95], prevKv: true },
  { name: 'in fragments', fragment: true },
  { name: 'with previous values in fragments', fragment: true, prevKv: true },
];

/**
 * What one release is asked for. A previous value costs etcd 3.4 more, the more keys a request has changed: 5 s of its CPU
 * for one watch of 10 000 keys, 20 s for 20 000, without the proxy. A million would take it days.
 */
const wishesOf = (install: EtcdInstall): readonly Wish[] =>
  LONG && !atLeast(install, 3, 5) ? WISHES.filter(({ prevKv }) => !prevKv) : WISHES;

/** Opens a watch for each wish. */
async function watchAll(
  connection: LoadConnection,
  { story, wishes }: Place,
  start?: number,
): Promise<readonly HugeWatch[]> {
  const counts = new LoadCounts();
  const watches = wishes.map((wish) => new HugeWatch(connection, counts, story, wish, start));
  await counts.reach(() => counts.created === watches.length || counts.ended > 0);
  return watches;
}

/** Waits until each has had everything. @throws an Error that names those which saw anything wrong */
async function allTold(watches: readonly HugeWatch[], revisions: readonly number[]): Promise<void> {
  const missing = (): string =>
    watches
      .filter((watch) => !watch.done)
      .map(({ wish, progress }) => `${wish.name}: ${progress}`)
      .join('; ');
  await until(missing, () => watches.every(({ done }) => done), LIMIT_MS);
  for (const { wish, fault, ending, revisions: told } of watches) {
    assert.equal(fault, undefined, `${wish.name}: ${fault}`);
    assert.equal(ending, undefined, `${wish.name}: ${JSON.stringify(ending)}`);
    const expected = revisions.map((revision, step) => (told[step] === 0 ? 0 : revision));
    assert.deepEqual(told, expected, wish.name);
  }
}

/** One release with the proxy before it, and a story that takes place there. */
class Place {
  readonly #held = new AsyncDisposableStack();
  readonly story = new Story(SIZE);
  readonly wishes: readonly Wish[];
  readonly #etcd: EtcdCluster;
  readonly #proxy: RunningProxy;
  readonly #longest: string[] = [];

  private constructor(wishes: readonly Wish[], etcd: EtcdCluster, proxy: RunningProxy) {
    this.wishes = wishes;
    this.#etcd = this.#held.use(etcd);
    this.#proxy = this.#held.use(proxy);
  }

  static async start(install: EtcdInstall, flags: readonly string[]): Promise<Place> {
    const etcd = await startEtcd({
      install,
      maxRequestBytes: REQUEST_BYTES,
      quotaBackendBytes: 8 * 2 ** 30,
      args: [`--max-txn-ops=${SIZE.operations}`],
    });
    const proxy = await startProxy({ endpoints: etcd.endpoints, flags, env: PRESSED });
    // The answer comes when the parts of the web door have been read, whose turns are not what is measured here.
    await proxyMetrics(proxy.url);
    return new Place(wishesOf(install), etcd, proxy);
  }

  /** A way past the proxy. */
  direct(): RawGrpcClient {
    return this.#held.use(new RawGrpcClient(this.#etcd.first.address));
  }

  async connection(): Promise<LoadConnection> {
    return this.#held.use(await LoadConnection.open(this.#proxy.address));
  }

  /** Does something and says what the proxy has borne of it. */
  async bearing(say: (text: string) => void, work: () => Promise<void>): Promise<void> {
    const { pid } = this.#proxy.process;
    await pressureOn(this.#proxy);
    const before = residentBytes(pid);
    const began = performance.now();
    const { peak } = await peakOf(pid, work());
    const { turnMs, workMs, pauseMs, bytes } = await pressureOn(this.#proxy);
    say(`${((performance.now() - began) / 1000).toFixed(1)} s`);
    say(`RSS ${mib(before)} MiB and ${mib(peak - before)} more; heap and buffers ${mib(bytes)} MiB at most`);
    const [turn, own, pause] = [turnMs, workMs, pauseMs].map((ms) => ms.toFixed(0));
    say(`longest turn ${turn} ms of CPU, without garbage ${own} ms; ${pause} ms in all`);
    if (turnMs > TURN_MS) this.#longest.push(`${turn} ms, ${own} of them without garbage`);
    assert.ok(peak - before <= RESIDENT_BYTES, `${mib(peak - before)} MiB more`);
    assert.equal(this.#proxy.process.exit, undefined, 'the program lives');
  }

  /** Watches whose clients do not keep up. */
  lagging(): Promise<number> {
    return metric(this.#proxy.url, 'etcd_proxy_watch_lagging_watchers');
  }

  /** Feeds for those whose history is gone: one watch each. */
  catchUps(): Promise<number> {
    return metric(this.#proxy.url, 'etcd_proxy_watch_catch_ups');
  }

  /** Turns of the event loop that were too long. */
  get tooLong(): readonly string[] {
    return this.#longest;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }
}

const { keys, operations } = SIZE;
const title = `a delete of ${keys} keys, transactions of ${operations} operations`;
const installs = await outerEtcds();
/** The releases take turns with the settings; if there is time, the newest has both. */
const plans = installs.flatMap((install, at) => {
  const both = LONG && at === installs.length - 1;
  const settings = SETTINGS.filter((_, index) => both || index === at % SETTINGS.length);
  return settings.map((setting) => ({ install, setting }));
});
for (const { install, setting } of plans)
  describe(`etcd ${install.version}, ${setting.name}: ${title}`, {
    concurrency: 1,
    timeout: 4 * LIMIT_MS,
  }, () => {
    let place: Place;
    let reading: LoadConnection;
    let slow: LoadConnection;
    let start = 0;
    let revisions: readonly number[] = [];
    let lagging: readonly HugeWatch[] = [];
    before(async () => {
      place = await Place.start(install, setting.flags);
      [reading, slow] = [await place.connection(), await place.connection()];
      start = await fill(place.direct(), place.story);
    });
    after(() => place[Symbol.asyncDispose]());

    test('watches that are in step, beside others whose clients do not read', async (context) => {
      const synced = await watchAll(reading, place);
      lagging = await watchAll(slow, place);
      slow.hold();
      await place.bearing(context.diagnostic.bind(context), async () => {
        revisions = await perform(place.direct(), place.story, start);
        await allTold(synced, revisions);
      });
      for (const { wish, fragments } of synced)
        if (wish.fragment) assert.ok(fragments > 0, `${wish.name}: in one response`);
      // What most of them want may fit into the windows of their streams.
      const behind = (await place.lagging()) + (await place.catchUps());
      assert.ok(behind > (LONG ? lagging.length / 2 : 0), `${behind} are behind`);
    });

    test('watches whose clients read again', (context) =>
      place.bearing(context.diagnostic.bind(context), async () => {
        slow.release();
        await allTold(lagging, revisions);
      }));

    test('watches that begin in the past', (context) =>
      place.bearing(context.diagnostic.bind(context), async () => {
        await allTold(await watchAll(reading, place, start + 1), revisions);
      }));

    test(`no turn of the event loop takes ${TURN_MS} ms`, () => assert.deepEqual(place.tooLong, []));
  });
