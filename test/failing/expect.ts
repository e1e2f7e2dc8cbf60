/**
 * What must hold of every rehearsal, with bounds that a busy machine keeps: they are twice of what is aimed at. A test of
 * a fault runs on the newest etcd at hand, with `LONG=1` on each release.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newestEtcds } from '../support/releases.ts';
import type { Fault } from './faults.ts';
import { type Calls, cells, type Outcome } from './outcome.ts';
import { rehearse } from './rehearse.ts';

/** Service is there again after so long; 3 s is the aim. */
const SERVICE_MS = 6_000;
/** Of the calls that begin then, so many are answered; 99 % is the aim. */
const ANSWERED = 0.95;
/** More moves than this are churn. */
const SWITCHES = 3;
const SECONDS = 14;
/** A pause of the machine after the fault makes a rehearsal late; a proxy that takes too long does so each time. */
const TRIES = 3;

function expectServed(what: string, { serviceMs, begun, answered, failures }: Calls): void {
  const told = `${what}: ${JSON.stringify([...failures])}`;
  assert.ok(serviceMs !== undefined, `no service again: ${told}`);
  assert.ok(serviceMs <= SERVICE_MS, `service after ${serviceMs} ms: ${told}`);
  assert.ok(answered >= ANSWERED * begun, `${answered} of ${begun} answered from then on: ${told}`);
}

/** What holds however slow the machine is. */
function expectRight(outcome: Outcome): void {
  for (const { failures } of [outcome.get, outcome.put])
    for (const failure of failures.keys()) assert.doesNotMatch(failure, /^stale/);
  assert.deepEqual(outcome.wrongWrites, [], 'each acknowledged write is there, and none took effect twice');
  assert.ok(outcome.events > 0, 'something was written');
  assert.equal(outcome.wrongEvents, 0, `events lost or repeated of 2 x ${outcome.events}`);
}

/** What holds where nothing but the fault takes its time. */
function expectInTime(outcome: Outcome, { breaksConnection }: Fault): void {
  expectServed('gets', outcome.get);
  expectServed('puts', outcome.put);
  assert.deepEqual(outcome.lostLeases, []);
  if (breaksConnection) assert.match(outcome.lock, /^14 .*; the call may or may not have taken effect$/);
  else assert.equal(outcome.lock, 'its turn came');
  assert.ok(outcome.switches !== undefined && outcome.switches <= SWITCHES, `${outcome.switches} switches`);
}

/** Tests that a fault of the member in use costs the proxy's clients no more than it may. */
export async function testRehearsals(...kinds: readonly Fault[]): Promise<void> {
  for (const install of await newestEtcds()) {
    for (const fault of kinds)
      test(`the member in use ${fault.name} (etcd ${install.version})`, async (context) => {
        for (let tries = 1; ; tries++) {
          const outcomes = await rehearse(fault, { who: ['proxy'], seconds: SECONDS, etcd: { install } });
          const outcome = outcomes[0] as Outcome;
          context.diagnostic(cells(outcome).join(' | '));
          expectRight(outcome);
          try {
            return expectInTime(outcome, fault);
          } catch (error) {
            if (tries === TRIES) throw error;
            context.diagnostic(`once more: ${error}`);
          }
        }
      });
  }
}
