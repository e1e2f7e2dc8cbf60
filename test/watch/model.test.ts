/**
 * The watch hub against what really happened. Random changes, random watchers that come, go, stop reading and come
 * back, and random faults; each must have seen exactly the events of its range and options, in order, and be told its
 * progress. A case is one watcher; some 40 of them share a run. `MODEL_RUNS` sets how many runs each test makes (hours
 * are possible), `MODEL_SEED` repeats a run, `MODEL_ALL=1` takes clusters with every setting, `MODEL_SHRINK_MS` says for
 * how long a failure is made shorter.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type fc from 'fast-check';
import { progressIsSafe } from '../../src/etcd/release.ts';
import type { EtcdInstall } from '../support/etcd.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { Bench } from './model/bench.ts';
import { check } from './model/check.ts';
import { fragmentedResponses } from './model/observed.ts';
import { calm, deadly, type Operation, planOf } from './model/operations.ts';
import { run } from './model/run.ts';

const runs = Number(process.env.MODEL_RUNS ?? (LONG ? 6 : 3));
const firstSeed = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const shrinkMs = Number(process.env.MODEL_SHRINK_MS ?? 60_000);
/** What a plan of usual size has to check on average, whatever its seed. */
const LEAST_CASES = LONG ? 200 : 100;

/** Flags under which everything is served from history, and under which hardly anything can be. */
const SETTINGS: readonly (readonly [name: string, ...flags: string[]])[] = [
  ['with history'],
  [
    'with hardly any history',
    '--watch-history-bytes=20000',
    '--watch-history-revisions=5',
    '--watch-linger=0s',
  ],
];

/** Streams that an etcd allows on a connection, where it allows few: fewer than a client of the model watches keys. */
const FEW_STREAMS = 30;

interface Plan {
  readonly install: EtcdInstall;
  readonly members: number;
  readonly setting: (typeof SETTINGS)[number];
}

/** Every release with both settings; of its cluster one of them, every other release the same, unless all are wanted. */
const plans: Plan[] = (await outerEtcds()).flatMap((install, at) => [
  ...SETTINGS.map((setting) => ({ install, members: 1, setting })),
  ...SETTINGS.filter((_, index) => process.env.MODEL_ALL || index !== at % 2).map((setting) => ({
    install,
    members: 3,
    setting,
  })),
]);

/** One client on many keys, a huge transaction, clients that demand a leader, more watches than a connection has streams. */
const SHAPES = ['many', 'huge', 'leader', 'crowded'];

let cases = 0;
const faults: Record<string, number> = {};

describe('the model', { concurrency: 3 }, () => {
  for (const [at, { install, members, setting }] of plans.entries()) {
    const [name, ...flags] = setting;
    describe(`etcd ${install.version}, ${members} members, ${name}`, { concurrency: 1 }, () => {
      let bench: Bench; // one run at a time: a run expects to be alone
      before(async () => {
        // With a release on which each watch needs a stream of its own this would be too few.
        const few = members === 1 && flags.length > 0 && progressIsSafe(install.version);
        bench = await Bench.start({ install, members, flags, ...(few ? { streams: FEW_STREAMS } : {}) });
      });
      after(async () => {
        for (const [kind, count] of Object.entries(bench.faults)) faults[kind] = (faults[kind] ?? 0) + count;
        await bench[Symbol.asyncDispose]();
      });
      const schedules: (readonly [what: string, operation: fc.Arbitrary<Operation>, part: number])[] =
        members === 1
          ? [
              ['watches see what happened', calm, 1],
              ['also through faults', deadly, 1],
            ]
          : [['watches see what happened while members come and go', deadly, 2]];
      for (const [what, operation, part] of schedules) {
        test(what, async (context) => {
          let watches = 0;
          context.diagnostic(`MODEL_SEED=${firstSeed}`);
          await check({
            arbitrary: planOf(operation),
            run: async (operations) => {
              watches += await run(bench, operations);
            },
            renew: () => bench.renew(),
            runs: runs * part,
            seed: firstSeed + at, // the same operations everywhere would find the same
            shrinkMs,
          });
          cases += watches;
          context.diagnostic(`${runs * part} runs, ${watches} watchers, ${JSON.stringify(bench.faults)}`);
        });
      }
    });
  }
});

test('enough was checked', { skip: process.env.MODEL_RUNS !== undefined }, () => {
  assert.ok(cases >= LEAST_CASES * plans.length, `${cases} watchers`);
  assert.ok(fragmentedResponses() > 0, 'no response came in fragments');
  for (const kind of ['cut', 'hold', 'stall', 'freeze', 'kill', 'move', ...SHAPES])
    assert.ok((faults[kind] ?? 0) > 0, `${kind}: never, of ${JSON.stringify(faults)}`);
});
