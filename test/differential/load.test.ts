/**
 * What is heavy for etcd must not be much heavier through the proxy: its CPU, its memory, its streams and watches, the
 * calls that it answers and the bytes that it sends and receives, directly and with the proxy before it. With `LONG=1`
 * there is more of everything, on every release on which feeds may share a stream.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { progressIsSafe } from '../../src/etcd/release.ts';
import { outerEtcds } from '../support/releases.ts';
import type { Bound } from './load/case.ts';
import { LOAD_CASES } from './load/cases.ts';
import { type Cost, Stage } from './load/stage.ts';

const shown = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(2));

/** Compares two costs. @returns a line for each, and those that are above their bound */
function compare(
  direct: Cost,
  proxied: Cost,
  bounds: Readonly<Record<keyof Cost, Bound>>,
): { lines: string[]; excess: string[] } {
  const lines: string[] = [];
  const excess: string[] = [];
  for (const name of Object.keys(bounds) as (keyof Cost)[]) {
    const { times, plus } = bounds[name];
    // Memory may be less than before, of which nothing follows.
    const most = times * Math.max(0, direct[name]) + plus;
    const ratio = direct[name] > 0 ? ` (${(proxied[name] / direct[name]).toFixed(2)}x)` : '';
    const line = `${name}: direct ${shown(direct[name])}, proxied ${shown(proxied[name])}${ratio}, bound ${shown(most)}`;
    lines.push(line);
    if (proxied[name] > most) excess.push(line);
  }
  return { lines, excess };
}

const installs = (await outerEtcds()).filter(({ version }) => progressIsSafe(version));

for (const install of installs)
  for (const { name, args, cases } of LOAD_CASES)
    describe(`load on etcd ${install.version} ${name}`, { concurrency: 1 }, () => {
      const held = new AsyncDisposableStack();
      const stages: Stage[] = [];
      before(async () => {
        for (const through of ['direct', 'proxy'] as const)
          stages.push(held.use(await Stage.start(through, install, args)));
      });
      after(() => held.disposeAsync());
      for (const { name, prepare, run, bounds } of cases)
        test(name, async (context) => {
          const [direct, proxied] = stages as [Stage, Stage];
          for (const stage of stages) await prepare?.(stage);
          const costs = [await direct.cost(run), await proxied.cost(run)] as const;
          const { lines, excess } = compare(...costs, bounds);
          for (const line of lines) context.diagnostic(line);
          assert.deepEqual(excess, []);
        });
    });

test('a cost above its bound is found', () => {
  const cost: Cost = { cpu: 1, memory: 1, streams: 1, watchers: 1, calls: 1, sent: 1, received: 1 };
  const bounds = Object.fromEntries(Object.keys(cost).map((name) => [name, { times: 2, plus: 1 }]));
  const all = bounds as Record<keyof Cost, Bound>;
  assert.deepEqual(compare(cost, { ...cost, sent: 3 }, all).excess, []);
  assert.deepEqual(compare(cost, { ...cost, sent: 4 }, all).excess, [
    'sent: direct 1, proxied 4 (4.00x), bound 3',
  ]);
});
