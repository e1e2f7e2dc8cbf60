/**
 * A cluster that cannot serve is no reason to move: the proxy stays where it is and asks seldom, and serves as soon as
 * there is a leader again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { statusOf, untilStatus } from '../support/members.ts';
import { newestEtcds } from '../support/releases.ts';
import { openClient } from './clients.ts';
import { proxyOn } from './contestants.ts';
import { get, put, untilServed } from './proxy-state.ts';
import { switchesOf } from './rehearse.ts';
import { Stage } from './stage.ts';

const OUTAGE_MS = 15_000;
/** Of all endpoints together, while there is no quorum: with a backoff of up to 3 s this is some ten. */
const DIALS = 40;
/** From the new leader on. */
const BACK_MS = 6_000;

/** Loses the quorum, and gives what brings it back. */
type Loss = (stage: Stage) => Promise<() => Promise<void>>;

const othersDie: Loss = async (stage) => {
  await Promise.all(stage.others.map((member) => member.kill()));
  return async () => void (await Promise.all(stage.others.map((member) => member.start())));
};

const allCutOff: Loss = async ({ cluster }) => {
  const ids = await Promise.all(cluster.members.map(async (member) => (await statusOf(member)).id));
  for (const [i, id] of ids.entries()) cluster.links?.cut(i, id);
  return async () => {
    for (const [i, id] of ids.entries()) cluster.links?.heal(i, id);
  };
};

async function staysAndReturns(stage: Stage, lose: Loss): Promise<void> {
  await using proxy = await proxyOn(stage);
  using client = openClient(proxy.address);
  await untilServed(client);
  const restore = await lose(stage);
  const victim = stage.cluster.member(stage.victim);
  await untilStatus(victim, ({ leader }) => leader === 0n, 'without a leader');
  const asked = (): number => stage.relays.reduce((sum, relay) => sum + relay.asked, 0);
  const [switches, dials] = [(await switchesOf(proxy)) ?? 0, asked()];
  for (const end = performance.now() + OUTAGE_MS; performance.now() < end; await sleep(300))
    for (const call of [put, get]) void call(client, 'lost', 1_000);
  assert.equal(await switchesOf(proxy), switches, 'nobody serves, so there is nowhere to go');
  assert.ok(asked() - dials <= DIALS, `${asked() - dials} connections in ${OUTAGE_MS} ms`);
  await restore();
  await untilStatus(victim, ({ leader }) => leader !== 0n, 'with a leader again');
  const back = await untilServed(client);
  assert.ok(back <= BACK_MS, `served ${back} ms after there was a leader`);
}

for (const install of await newestEtcds()) {
  for (const [what, lose] of [
    ['the two others are dead', othersDie],
    ['all three are cut off from each other', allCutOff],
  ] as const)
    test(`no quorum: ${what} (etcd ${install.version})`, async () => {
      await using stage = await Stage.open({ use: 'follower', etcd: { install } });
      await staysAndReturns(stage, lose);
    });
}
