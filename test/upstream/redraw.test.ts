/** The choice among endpoints that serve: the nearest one, and made anew now and then. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KV, Watch } from '../../src/etcd/methods.ts';
import { NO_LEADER } from '../../src/etcd/words.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { ChoiceOptions } from '../../src/upstream/choice-owner.ts';
import { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { ask, inUse, Stream } from './client.ts';
import { clientOptions, ScriptedEtcd } from './scripted-etcd.ts';

/** Much, since the machine may be busy; answers of the others are immediate. Milliseconds. */
const FAR_MS = 60;
const LIMIT_MS = 20_000;

async function setUp(
  held: AsyncDisposableStack,
  choice: ChoiceOptions,
  prepare: (members: readonly ScriptedEtcd[]) => void = () => {},
) {
  const members: ScriptedEtcd[] = [];
  for (let i = 0; i < 3; i++) members.push(held.use(await ScriptedEtcd.start()));
  prepare(members);
  const { options, heard } = clientOptions(members);
  const cluster = new ClusterClient({ ...options, choice });
  held.defer(() => cluster.close());
  cluster.start();
  await inUse(cluster);
  const used = (): ScriptedEtcd | undefined =>
    members.find(({ address }) => address === cluster.current?.name);
  return { members: members as [ScriptedEtcd, ScriptedEtcd, ScriptedEtcd], cluster, heard, used };
}

describe('a choice that is made anew', () => {
  test('comes to every endpoint that serves and to no other one, and no call notices', async () => {
    await using held = new AsyncDisposableStack();
    const { members, cluster, heard, used } = await setUp(held, { shuffleInterval: 20 }, ([first]) => {
      if (first) first.question = new RpcError(Code.UNAVAILABLE, NO_LEADER);
    });
    const seen = new Set<ScriptedEtcd | undefined>();
    await until(
      'both were used, more than once',
      async () => {
        await ask(cluster, KV.Put);
        seen.add(used());
        return heard.switches.length >= 6;
      },
      LIMIT_MS,
    );
    assert.deepEqual(seen, new Set(members.slice(1)));
    assert.deepEqual(new Set(heard.switches), new Set(['redrawn']));
  });

  test('lets streams that only follow go on elsewhere', async () => {
    await using held = new AsyncDisposableStack();
    const { members, cluster } = await setUp(held, { shuffleInterval: 100 });
    void new Stream(cluster, Watch.Watch);
    const watched = (): number =>
      members.filter(({ messages }) => messages.some(({ path }) => path === Watch.Watch.path)).length;
    await until('the watch was asked elsewhere', () => watched() > 1, LIMIT_MS);
  });

  test('is not made without an interval', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard } = await setUp(held, {});
    for (let i = 0; i < 50; i++) await ask(cluster, KV.Put);
    assert.deepEqual(heard.switches, []);
  });
});

describe('the nearest endpoint', () => {
  const NEAREST: ChoiceOptions = { pick: 'nearest' };

  test('is used from the beginning', async () => {
    for (let round = 0; round < 3; round++) {
      await using held = new AsyncDisposableStack();
      const { members, used } = await setUp(held, NEAREST, (members) => {
        members.forEach((member, i) => {
          member.questionMs = i === round ? 1 : FAR_MS;
        });
      });
      assert.equal(used(), members[round]);
    }
  });

  test('is found again, and left for one that is much nearer only', async () => {
    await using held = new AsyncDisposableStack();
    const options: ChoiceOptions = { ...NEAREST, shuffleInterval: 50 };
    const { members, heard, used } = await setUp(held, options, (members) => {
      for (const member of members) member.questionMs = FAR_MS;
    });
    const [near] = members.filter((member) => member !== used());
    if (near) near.questionMs = 1;
    await until('the near one is used', () => used() === near, LIMIT_MS);
    assert.deepEqual(heard.switches.at(-1), 'redrawn');
  });

  test('comes first when the one in use is lost', async () => {
    await using held = new AsyncDisposableStack();
    const { members, used } = await setUp(held, NEAREST, (members) => {
      members.forEach((member, i) => {
        member.questionMs = 1 + i * FAR_MS;
      });
    });
    const [first, second] = members;
    assert.equal(used(), first);
    await first[Symbol.asyncDispose]();
    await until('another one is used', () => used() !== undefined && used() !== first, LIMIT_MS);
    assert.equal(used(), second);
    await first.listen();
  });
});
