/**
 * Runs cases on all sides side by side, one case after the other, so that every side's store goes through the
 * same revisions, and compares each side's record with the direct one.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EtcdInstall, EtcdOptions } from '../support/etcd.ts';
import type { Case } from './case.ts';
import { differences, showDifferences } from './compare.ts';
import type { Plain } from './plain.ts';
import { realign } from './realign.ts';
import { Script } from './script.ts';
import { type Side, type SideKind, startSide } from './side.ts';
import { viewFor } from './view.ts';

/** What a case did on a side, and why it stopped where it did. */
export interface Recorded {
  readonly side: Side;
  readonly record: Plain;
  readonly failure: unknown;
}

/** Runs a case on a side. A failure of the script itself is part of the record. */
export async function record(one: Case, side: Side, exact = false): Promise<Recorded> {
  const script = new Script(side, exact);
  let failure: unknown;
  try {
    await one.run(script);
    side.assertAlive();
  } catch (error) {
    failure = error;
    script.note('the script failed', String(error));
  }
  return { side, record: script.record, failure };
}

/** Fails where a side's record is not the direct one. */
export function assertSame(records: readonly Recorded[]): void {
  const [reference, ...others] = records;
  assert.ok(reference !== undefined && others.length > 0, 'nothing to compare');
  if (reference.failure !== undefined) throw reference.failure;
  assert.notDeepEqual(reference.record, {}, 'the case records nothing');
  const reports = others.flatMap(({ side, record: other }) => {
    const view = viewFor(side.kind);
    const found = differences(view(reference.record), view(other));
    return found.length === 0 ? [] : [`${side.kind.name}:\n${showDifferences(found)}`];
  });
  assert.ok(reports.length === 0, `not the same as direct\n${reports.join('\n')}`);
}

/** Undoes what a failed case left behind; where that fails too, tells why. */
async function realigned(sides: readonly Side[]): Promise<string | undefined> {
  try {
    await realign(sides);
    return undefined;
  } catch (error) {
    return `later cases may fail because of this one: ${error}`;
  }
}

/** Runs cases against one release, each side with an etcd of its own. */
export function compareSides(
  name: string,
  install: EtcdInstall,
  kinds: readonly SideKind[],
  options: EtcdOptions,
  cases: readonly Case[],
): void {
  describe(`${name}, etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    let sides: Side[] = [];
    before(async () => {
      sides = await Promise.all(kinds.map((kind) => startSide(kind, { ...options, install })));
      for (const side of sides) held.use(side);
    });
    after(() => held.disposeAsync());
    for (const one of cases) {
      const reason = one.skip?.(install) ?? false;
      test(one.name, { skip: reason, timeout: 120_000 }, async (context) => {
        const records = await Promise.all(sides.map((side) => record(one, side)));
        try {
          assertSame(records);
        } catch (error) {
          context.diagnostic((await realigned(sides)) ?? 'the stores of all sides are at one revision');
          throw error;
        }
      });
    }
  });
}
