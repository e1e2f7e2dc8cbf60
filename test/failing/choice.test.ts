/**
 * Who is never chosen while a voter serves: a learner, a member of another cluster, and a member that lags far behind.
 * The member in use is taken away again and again, so that the choice between the others is made often.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdMember } from '../support/etcd.ts';
import { statusOf } from '../support/members.ts';
import { newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { Admin } from './admin.ts';
import { openClient } from './clients.ts';
import { proxyOn } from './contestants.ts';
import { get, put, servedBy } from './proxy-state.ts';
import { Stage } from './stage.ts';

const ROUNDS = 8;
/** Less than a member that lags takes to come up with the others. */
const DEADLINE_MS = 15_000;

/** Takes away the member in use, and calls; each time the calls must be answered by a voter that is up to date. */
async function chooseOften(stage: Stage, rounds = ROUNDS): Promise<void> {
  await using proxy = await proxyOn(stage);
  using client = openClient(proxy.address);
  for (let round = 0; round < rounds; round++) {
    const failures: string[] = [];
    const calls = [0, 1, 2].flatMap((i) => [
      put(client, `choice/${round}/${i}`, DEADLINE_MS),
      get(client, `choice/${round}/${i}`, DEADLINE_MS),
    ]);
    for (const { code, message } of await Promise.all(calls))
      if (code !== 0) failures.push(`${code} ${message}`);
    assert.deepEqual(failures, [], `round ${round}`);
    const used = await until(`round ${round}: a member serves`, async () => {
      const index = await servedBy(stage, client);
      return index >= 0 && index;
    });
    assert.ok(used < stage.cluster.members.length, `round ${round}: endpoint ${used} is no voter`);
    const relay = stage.relays[used];
    relay?.cut(true);
    await until('another member serves', async () => ![-1, used].includes(await servedBy(stage, client)));
    relay?.accept();
  }
  const stored = await new Admin(stage.witness.address).stored('choice/');
  assert.equal(stored.size, 3 * rounds, 'every put is in the cluster');
}

/** Fills the cluster faster than one of its members hears of it. */
async function leaveBehind(stage: Stage): Promise<EtcdMember> {
  const member = stage.cluster.member(stage.victim);
  const { id } = await statusOf(member);
  stage.cluster.links?.slow(id, 100_000);
  await new Admin(stage.witness.address).fill(24);
  return member;
}

for (const install of await newestEtcds()) {
  test(`a learner is not chosen (etcd ${install.version})`, async () => {
    await using stage = await Stage.open({ use: 'learner', etcd: { install } });
    await chooseOften(stage);
  });

  test(`a member of another cluster is not chosen (etcd ${install.version})`, async () => {
    await using stage = await Stage.open({ use: 'follower', stranger: true, etcd: { install } });
    await chooseOften(stage);
  });

  test(`a member that lags far behind is not chosen (etcd ${install.version})`, async () => {
    await using stage = await Stage.open({ use: 'follower', etcd: { install } });
    const late = await leaveBehind(stage);
    await using proxy = await proxyOn(stage, [], false);
    using client = openClient(proxy.address);
    for (let i = 0; i < 6; i++) {
      const { code, message } = await get(client, 'any', DEADLINE_MS);
      assert.deepEqual([code, message], [0, ''], `get ${i}`);
    }
    const [behind, ahead] = await Promise.all([statusOf(late), statusOf(stage.witness)]);
    assert.ok(behind.raftIndex < ahead.raftIndex, 'it still lags');
  });
}
