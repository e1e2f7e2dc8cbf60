/**
 * Runs cases on all lanes side by side, one case after the other, so that every lane's store goes through the
 * same revisions, and compares each lane's record with the direct one.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EtcdInstall, EtcdOptions } from '../support/etcd.ts';
import type { Case } from './case.ts';
import { differences, showDifferences } from './compare.ts';
import { type Lane, type LaneKind, startLane } from './lane.ts';
import type { Plain } from './plain.ts';
import { realign } from './realign.ts';
import { Script } from './script.ts';
import { viewFor } from './view.ts';

/** What a case did on a lane, and why it stopped where it did. */
export interface Recorded {
  readonly lane: Lane;
  readonly record: Plain;
  readonly failure: unknown;
}

/** Runs a case on a lane. A failure of the script itself is part of the record. */
export async function record(one: Case, lane: Lane, exact = false): Promise<Recorded> {
  const script = new Script(lane, exact);
  let failure: unknown;
  try {
    await one.run(script);
    lane.assertAlive();
  } catch (error) {
    failure = error;
    script.note('the script failed', String(error));
  }
  return { lane, record: script.record, failure };
}

/** Fails where a lane's record is not the direct one. */
export function assertSame(records: readonly Recorded[]): void {
  const [reference, ...others] = records;
  assert.ok(reference !== undefined && others.length > 0, 'nothing to compare');
  if (reference.failure !== undefined) throw reference.failure;
  assert.notDeepEqual(reference.record, {}, 'the case records nothing');
  const reports = others.flatMap(({ lane, record: other }) => {
    const view = viewFor(lane.kind);
    const found = differences(view(reference.record), view(other));
    return found.length === 0 ? [] : [`${lane.kind.name}:\n${showDifferences(found)}`];
  });
  assert.ok(reports.length === 0, `not the same as direct\n${reports.join('\n')}`);
}

/** Undoes what a failed case left behind; where that fails too, tells why. */
async function realigned(lanes: readonly Lane[]): Promise<string | undefined> {
  try {
    await realign(lanes);
    return undefined;
  } catch (error) {
    return `later cases may fail because of this one: ${error}`;
  }
}

/** Runs cases against one release, each lane with an etcd of its own. */
export function compareLanes(
  name: string,
  install: EtcdInstall,
  kinds: readonly LaneKind[],
  options: EtcdOptions,
  cases: readonly Case[],
): void {
  describe(`${name}, etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    let lanes: Lane[] = [];
    before(async () => {
      lanes = await Promise.all(kinds.map((kind) => startLane(kind, { ...options, install })));
      for (const lane of lanes) held.use(lane);
    });
    after(() => held.disposeAsync());
    for (const one of cases) {
      const reason = one.skip?.(install) ?? false;
      test(one.name, { skip: reason, timeout: 120_000 }, async (context) => {
        const records = await Promise.all(lanes.map((lane) => record(one, lane)));
        try {
          assertSame(records);
        } catch (error) {
          context.diagnostic((await realigned(lanes)) ?? 'the stores of all lanes are at one revision');
          throw error;
        }
      });
    }
  });
}
