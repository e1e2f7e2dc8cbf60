/**
 * Nobody reaches out of a namespace: random requests of every kind, through every door, in two namespaces that are next to
 * each other and beside both, on one etcd. After each, everything outside is as it was, and what was shown is within.
 * `OUTSIDE_SEED=n` repeats one seed.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { progressIsSafe } from '../../src/etcd/release.ts';
import { startEtcd } from '../support/etcd.ts';
import { LONG, newestEtcds } from '../support/releases.ts';
import { Client } from './actor.ts';
import { startNamespaces } from './listeners.ts';
import { type Place, Run } from './run.ts';
import { type Actor, NAMESPACES, type Step, stepsFrom } from './steps.ts';
import { ask } from './world.ts';

const WANTED = process.env.OUTSIDE_SEED;
const SEEDS =
  WANTED === undefined ? Array.from({ length: LONG ? 12 : 2 }, (_, i) => i + 1) : [Number(WANTED)];
const STEPS = LONG ? 200 : 50;
/** Time that a failure is worth, until few steps are left of it. */
const SHRINKING_MS = 30_000;

/** What is wrong with these steps, if they still show it. */
type Trial = (steps: readonly Step[]) => Promise<assert.AssertionError | undefined>;

/** As few steps as show something that is wrong. */
async function shrink(steps: readonly Step[], found: assert.AssertionError, trial: Trial) {
  let least = { steps, found };
  const end = performance.now() + SHRINKING_MS;
  const hasTime = (): boolean => performance.now() < end;
  for (let size = steps.length; size > 1 && hasTime(); ) {
    size = Math.ceil(size / 2);
    for (let at = 0; at < least.steps.length && hasTime(); ) {
      const fewer = [...least.steps.slice(0, at), ...least.steps.slice(at + size)];
      const still = await trial(fewer);
      if (still === undefined) at += size;
      else least = { steps: fewer, found: still };
    }
  }
  return least;
}

for (const install of await newestEtcds())
  for (const isolation of ['keys', 'strict'] as const)
    describe(`nothing is reached outside of a namespace (etcd ${install.version}, ${isolation})`, async () => {
      for (const seed of SEEDS)
        test(`seed ${seed}`, async () => {
          await using etcd = await startEtcd({ install });
          const flags = [`--namespace-isolation=${isolation}`];
          await using proxy = await startNamespaces(NAMESPACES, { endpoints: etcd.endpoints, flags });
          using inOne = new Client('a/', proxy.at('a/'));
          using inTwo = new Client('a0', proxy.at('a0'));
          using direct = new Client('', etcd.first.address);
          const clients: Record<Actor, Client> = { 'a/': inOne, a0: inTwo, '': direct };
          const granted = async (client: Client): Promise<bigint> =>
            (await ask(client.grpc, Lease.method.leaseGrant, { TTL: 3600n })).ID;
          const shared = await granted(direct);
          const leases: Place['leases'] =
            isolation === 'keys'
              ? { 'a/': shared, a0: shared, '': shared }
              : { 'a/': await granted(inOne), a0: await granted(inTwo), '': shared };
          const place: Place = { clients, leases, progressIsSafe: progressIsSafe(install.version) };
          const trial: Trial = async (steps) => {
            try {
              await new Run(place).run(steps);
            } catch (error) {
              if (error instanceof assert.AssertionError) return error;
              throw error;
            }
            return undefined;
          };
          const steps = stepsFrom(seed, STEPS);
          const found = await trial(steps);
          if (found === undefined) return;
          const least = await shrink(steps, found, trial);
          const list = least.steps.map((step) => JSON.stringify(step)).join('\n');
          assert.fail(`seed ${seed}: ${least.found.message}\nthese steps show it:\n${list}`);
        });
    });
