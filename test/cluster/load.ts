/** All kinds of load of the clients of one proxy at once, and what must hold of it whatever its members go through. */
import assert from 'node:assert/strict';
import type { Admin } from '../failing/admin.ts';
import { CallLoad } from '../failing/call-load.ts';
import { Heartbeats, ResumingWatch } from '../failing/long-calls.ts';
import { until } from '../support/until.ts';

const PREFIX = 'load/';
/** Short, so that a lease whose heartbeats do not come through is gone before the test is over. */
const TTL_SECONDS = 10;
const LEASES = 20;
const WATCHES = 3;
/** Long enough for an election on a busy machine; no client gives up before. */
const DEADLINES_MS = [20_000, 20_000];
const EVERY_MS = 50;

/** What the load has come to. */
export interface LoadResult {
  readonly puts: number;
  readonly gets: number;
  readonly events: number;
  /** Puts that failed, and why: of those nobody knows whether they took effect. */
  readonly failedPuts: readonly string[];
}

/** Puts of a key of its own each, gets of what was put, watches of all of it, leases that are kept alive. */
export class Load implements Disposable {
  readonly #calls: CallLoad;
  readonly #watches: readonly ResumingWatch[];
  readonly #heartbeats: Heartbeats;
  readonly #leases: readonly bigint[];

  private constructor(address: string, leases: readonly bigint[]) {
    this.#leases = leases;
    this.#watches = Array.from({ length: WATCHES }, () => new ResumingWatch(address, PREFIX, 1n));
    this.#heartbeats = new Heartbeats(address, TTL_SECONDS, leases);
    this.#calls = new CallLoad(address, { prefix: PREFIX, deadlinesMs: DEADLINES_MS, everyMs: EVERY_MS });
  }

  /** Begins. @param admin of a member, for the leases */
  static async start(address: string, admin: Admin): Promise<Load> {
    const leases: bigint[] = [];
    for (let i = 0; i < LEASES; i++) leases.push(await admin.grant(TTL_SECONDS));
    return new Load(address, leases);
  }

  /** Milliseconds from a moment of `performance.now()` until a call that was begun later was answered. */
  async servedAfter(since: number): Promise<number> {
    const served = (kind: 'put' | 'get') =>
      this.#calls.samples.find((sample) => sample.kind === kind && sample.ok && sample.sentAt >= since);
    const [put, get] = await until('calls are served', () => {
      const [put, get] = [served('put'), served('get')];
      return put !== undefined && get !== undefined && ([put, get] as const);
    });
    return Math.max(put.endedAt, get.endedAt) - since;
  }

  /** Ends it, and looks whether all of it held. @param admin of a member that is there in the end */
  async finish(admin: Admin): Promise<LoadResult> {
    await this.#calls.stop();
    const { samples } = this.#calls;
    const stored = await admin.stored(PREFIX);
    const gets = samples.filter(({ kind }) => kind === 'get');
    assert.deepEqual(
      gets.filter(({ ok }) => !ok).map(({ failure }) => failure),
      [],
      'no read failed',
    );

    const puts = samples.filter(({ kind }) => kind === 'put');
    const lost = puts.filter(({ ok, key }) => ok && stored.get(key) === undefined).map(({ key }) => key);
    assert.deepEqual(lost, [], 'every write that was acknowledged is there');
    const twice = [...stored].filter(([, { version }]) => version !== 1n);
    assert.deepEqual(twice, [], 'no write was applied twice');

    for (const { events } of this.#watches) {
      await until('the watch has seen every write', () => events.length >= stored.size);
      assert.deepEqual(
        events.map(({ key, revision }) => `${key} ${revision}`),
        [...stored]
          .sort(([, a], [, b]) => Number(a.revision - b.revision))
          .map(([key, { revision }]) => `${key} ${revision}`),
        'each event once, in order',
      );
    }

    assert.deepEqual([...this.#heartbeats.lost], [], 'no lease was lost');
    for (const lease of this.#leases) assert.ok(await admin.lives(lease), `lease ${lease} lives`);
    const failedPuts = puts.filter(({ ok }) => !ok).map(({ failure }) => failure);
    return { puts: puts.length, gets: gets.length, events: stored.size, failedPuts };
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch.close();
    this.#heartbeats.close();
    void this.#calls.stop();
  }
}
