/** What can happen in a run of the model, as fast-check draws it. */
import fc from 'fast-check';

/**
 * `cut`: the wires between proxy and etcd break; `hold`: they deliver later; `stall`: the proxy is held still;
 * `freeze`: the member in use is; `move`: another member leads; `kill`: the member in use dies and comes back.
 */
export type Fault = 'cut' | 'hold' | 'stall' | 'freeze' | 'move' | 'kill';

const number = (max: number) => fc.nat({ max });

/** Mostly up to one number, sometimes up to another: what is far in the past takes long to deliver. */
const mostly = (max: number, rarely: number) =>
  fc.oneof({ weight: 8, arbitrary: number(max) }, { weight: 1, arbitrary: number(rarely) });

/** A letter or two: few keys, so that watches overlap. */
const key = fc.constantFrom('a', 'b', 'b/1', 'b/2', 'b/2/x', 'c', 'd');

const range = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(key, fc.constant('')) },
  { weight: 3, arbitrary: fc.constant(['b/', 'b0'] as [string, string]) },
  fc.constantFrom<[string, string][]>(
    ['a', 'c'],
    ['b', '\0'],
    ['\0', '\0'],
    ['b/2', 'b/3'],
    ['b/1', 'b/2'],
    ['m/', 'm0'],
  ),
);

const rarely = fc.integer({ min: 0, max: 3 }).map((drawn) => drawn === 0);

const start = fc.oneof(
  { weight: 4, arbitrary: fc.record({ from: fc.constant('now' as const), by: fc.constant(0) }) },
  { weight: 4, arbitrary: fc.record({ from: fc.constant('past' as const), by: mostly(60, 3000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ from: fc.constant('future' as const), by: fc.integer({ min: 1, max: 10 }) }),
  },
  fc.record({ from: fc.constant('first' as const), by: fc.constant(0) }),
);

const wish = fc.record({
  range,
  start,
  noPut: rarely,
  noDelete: rarely,
  prevKv: rarely,
  fragment: rarely,
  progress: rarely,
  serverChooses: fc.boolean(),
});

/** Several at once, as a client that begins would. */
const watch = fc.record({
  op: fc.constant('watch' as const),
  client: number(5),
  wishes: fc.array(wish, { minLength: 1, maxLength: 8 }),
});

/** Different keys that one client watches, each of them a watch on etcd of its own while nobody watches all of them. */
export const MANY_KEYS = 100;
/** Watches of some of these keys, all alike. */
const watchesOf = (count: fc.Arbitrary<number>) =>
  fc.record({
    op: fc.constant('many' as const),
    client: number(5),
    first: number(MANY_KEYS - 1),
    count,
    wish,
  });
const some = fc.integer({ min: 1, max: 40 });
const few = watchesOf(some);
const many = watchesOf(fc.constant(MANY_KEYS));
/** Changes of some of them, each by itself. */
const scatter = fc.record({
  op: fc.constant('scatter' as const),
  first: number(MANY_KEYS - 1),
  count: some,
});

const onWatch = <T extends string>(op: T) =>
  fc.record({ op: fc.constant(op), client: number(5), index: number(40) });

const onClient = <T extends string>(op: T) => fc.record({ op: fc.constant(op), client: number(5) });

const change = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('put' as const), key, size: number(3000) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('burst' as const), key, count: number(60) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), range }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('txn' as const),
      keys: fc.uniqueArray(key, { minLength: 1, maxLength: 5 }),
      deletes: number(2),
    }),
  },
  scatter,
);

/** More revisions than etcd gives a watch that catches up in one response; rare, since it takes a while. */
const flood = fc.record({
  op: fc.constant('flood' as const),
  key,
  count: fc.integer({ min: 1001, max: 1500 }),
});

/** A transaction of very many operations, on the keys of which many clients watch each. */
const huge = fc.record({ op: fc.constant('huge' as const), deletes: number(3) });

/** More than fits into one response for a client that takes fragments; rare, since it takes a while. */
const heavy = fc.record({ op: fc.constant('heavy' as const), key });

const others = fc.oneof(
  { weight: 6, arbitrary: watch },
  few,
  onWatch('cancel'),
  onWatch('duplicate'),
  onClient('progress'),
  onClient('halfClose'),
  onClient('pause'),
  onClient('resume'),
  onClient('reconnect'),
  fc.record({ op: fc.constant('compact' as const), back: mostly(40, 4000) }),
  fc.record({ op: fc.constant('wait' as const), ms: number(30) }),
);

const fault = <T extends Fault>(ms: number, ...kinds: T[]) =>
  fc.record({ op: fc.constant('fault' as const), kind: fc.constantFrom(...kinds), ms: number(ms) });

/** Operations without faults. */
export const calm = fc.oneof(
  { weight: 60, arbitrary: change },
  { weight: 50, arbitrary: others },
  { weight: 1, arbitrary: flood },
  { weight: 1, arbitrary: heavy },
  { weight: 1, arbitrary: huge },
  { weight: 1, arbitrary: many },
);

/** Operations with connections cut and held, and proxy and etcd standing still now and then. */
const rough = fc.oneof(
  { weight: 60, arbitrary: change },
  { weight: 50, arbitrary: others },
  { weight: 1, arbitrary: flood },
  { weight: 1, arbitrary: heavy },
  { weight: 1, arbitrary: huge },
  { weight: 1, arbitrary: many },
  { weight: 8, arbitrary: fault(60, 'cut', 'hold', 'stall', 'freeze') },
);

/** The same with an etcd that dies and comes back, and leaders that move where there are several members. */
export const deadly = fc.oneof(
  { weight: 60, arbitrary: rough },
  { weight: 1, arbitrary: fault(400, 'kill', 'stall') },
  { weight: 2, arbitrary: fault(0, 'move') },
);

export type Operation = typeof deadly extends fc.Arbitrary<infer T> ? T : never;

/** A plan of some of them; some begin with many watches, before there is a wide one to share. */
export const planOf = (operation: fc.Arbitrary<Operation>): fc.Arbitrary<readonly Operation[]> =>
  fc
    .tuple(fc.option(many, { freq: 2 }), fc.array(operation, { minLength: 20, maxLength: 100, size: 'max' }))
    .map(([first, rest]) => (first === null ? rest : [first, ...rest]));
