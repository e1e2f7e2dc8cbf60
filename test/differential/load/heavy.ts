/** What was heavy for the proxy itself once, compared on etcd: huge deletes of the past, clients that do not read, and ends. */
import { LONG } from '../../support/releases.ts';
import { until } from '../../support/until.ts';
import { b, type Create, put, remove } from '../../support/watch-client.ts';
import {
  AS_DIRECT,
  BYTES,
  CALLS,
  FEEDS_A_STREAM,
  FEW,
  KIB,
  type LoadCase,
  MIB,
  most,
  SHARED,
} from './case.ts';
import { fill, otherClient, putEach, remember, since } from './clients.ts';
import type { Stage } from './stage.ts';

const DELETED = LONG ? 135_000 : 12_000;
const deleted = Array.from({ length: DELETED }, (_, i) => `d/${i}`);

export const pastDelete: LoadCase = {
  name: `a delete of ${DELETED} short keys, and a watch from before it`,
  prepare: async (stage) => {
    await fill(stage.direct, deleted);
    await remember(stage);
    await remove(stage.direct, 'd/', 'd0');
  },
  run: async (stage) => {
    const startRevision = since(stage);
    const crowd = await stage.crowd(1, () => [{ key: b('d/'), rangeEnd: b('d0'), startRevision }]);
    await crowd.events(DELETED);
    await stage.hold();
  },
  bounds: AS_DIRECT,
};

const LAGGING = LONG ? 60_000 : 1000;
/** Much more than what is on its way to a client that does not read. */
const UNREAD_BYTES = (LONG ? 64 : 32) * MIB;
const LAG_BYTES = Math.max(KIB, UNREAD_BYTES / LAGGING);
const lagKey = (i: number): string => `lag/${String(i).padStart(6, '0')}`;

/** Some requests find no question under way that they could share. */
const ASKING = most(1, CALLS + LAGGING / 100);

/** Watches on one stream lag, and then it ends. @param change what each of them gets an event of */
function lagging(
  what: string,
  wish: (i: number) => Create,
  change: (stage: Stage, value: string) => Promise<unknown>,
  bounds: LoadCase['bounds'],
): LoadCase {
  return {
    name: `${LAGGING} watches of ${what} on a stream that ends while they lag, and another client`,
    run: async (stage) => {
      const crowd = await stage.crowd(1, () => Array.from({ length: LAGGING }, (_, i) => wish(i)));
      crowd.stop();
      await change(stage, 'v'.repeat(LAG_BYTES));
      await until('most of them lag', async () => (await stage.lagging()) > LAGGING / 2);
      await stage.hold();
      for (const stream of crowd.streams) stream.cancel();
      await otherClient(stage);
      await stage.leave();
    },
    bounds,
  };
}

export const lags: readonly LoadCase[] = [
  lagging(
    'one prefix',
    () => ({ key: b('lag/'), rangeEnd: b('lag0') }),
    ({ direct }, value) => put(direct, lagKey(0), value),
    // What is put goes past the proxy on both sides.
    { ...SHARED, received: most(1.1, BYTES), calls: ASKING },
  ),
  lagging(
    'a key each',
    (i) => ({ key: b(lagKey(i)) }),
    (stage, value) => {
      const names = Array.from({ length: LAGGING }, (_, i) => lagKey(i));
      return putEach(stage, names, value);
    },
    // What the client does not read waits in the proxy, since what else is on its streams to etcd has to go on.
    {
      ...AS_DIRECT,
      calls: ASKING,
      streams: most(0, FEW + LAGGING / FEEDS_A_STREAM),
      sent: most(1.2, 1.2 * LAGGING * LAG_BYTES),
    },
  ),
];

/** More than etcd keeps for a stream before it counts a watch as slow. */
const RANGES = LONG ? 2500 : 200;
const rangeOf = (i: number): Create => ({
  key: b(`ranges/${String(i).padStart(5, '0')}`),
  rangeEnd: b('ranges0'),
});

/** A large value for many ranges, of a client that reads only later. */
function unreadValue(what: string, wish: (i: number) => Create, bounds: LoadCase['bounds']): LoadCase {
  return {
    name: `${RANGES} watches that differ by a key, ${what}, and a value of 1 MiB that their client does not read`,
    run: async (stage) => {
      const crowd = await stage.crowd(1, () => Array.from({ length: RANGES }, (_, i) => wish(i)));
      crowd.stop();
      await put(stage.direct, 'ranges/99999', 'v'.repeat(MIB));
      await until('some of them lag', async () => (await stage.lagging()) > 0);
      await stage.hold();
      crowd.go();
      await crowd.events(RANGES);
    },
    bounds,
  };
}

/** The first watch contains the others, or none is contained in one before it. */
export const unread: readonly LoadCase[] = [
  unreadValue('the widest first', rangeOf, {
    ...SHARED,
    // What is put goes past the proxy on both sides, and what etcd has of it is as good as all.
    memory: AS_DIRECT.memory,
    received: most(1.1, BYTES),
    watchers: most(0, FEW),
    sent: most(0, FEW * MIB),
  }),
  unreadValue('the widest last', (i) => rangeOf(RANGES - i), AS_DIRECT),
];
