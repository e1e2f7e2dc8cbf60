/** Leave to watch where what etcd has changes under it: another cluster, a store that was set back, a compaction. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Login } from '../../src/clients/login.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from '../watch/scripted-client.ts';
import { ScriptedHub } from '../watch/scripted-hub.ts';
import type { ScriptedWatch } from '../watch/scripted-upstream.ts';

const GONE = new RpcError(Code.UNAVAILABLE, 'the connection broke');

let at: ScriptedHub;
let knowsToken = true;

beforeEach(() => {
  knowsToken = true;
  const sharing = {
    login: new Login(undefined),
    revision: { current: async () => 5n },
    reauthorize: 300,
  };
  at = new ScriptedHub({ sharing });
  const { upstream } = at;
  const unary = upstream.unary.bind(upstream);
  upstream.unary = (request, call) => {
    if (call.metadata.get('token') !== undefined && !knowsToken)
      throw new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');
    return unary(request, call);
  };
  at.hub.shared.users.learn('u', 't');
  upstream.revision = 100;
});

afterEach(() => at[Symbol.dispose]());

/** A watch by leave, with which etcd's auth revision is known; and its watch on etcd. */
async function watching(startRevision = 0n): Promise<[ScriptedClient, ScriptedWatch]> {
  const client = at.client(['token', 't']);
  client.watch({ key: b('k'), startRevision });
  const watch = await at.created('k', Number(startRevision));
  const { stats, size } = at.hub.shared.permits;
  await until('etcd was asked', () => stats.confirmations.allowed > 0);
  assert.equal(size, 1);
  return [client, watch];
}

test('a watch that a compaction has ended needs none any more', async () => {
  const [client, watch] = await watching(50n);
  watch.say(0, { canceled: true, compactRevision: 90n });
  await until('the end', () => client.responses.at(-1)?.compactRevision === 90n);
  assert.equal(at.hub.shared.permits.size, 0);
});

describe('another store may have the same auth revision, which says nothing of it:', () => {
  for (const [what, change] of [
    ['another cluster', () => (at.upstream.cluster = 2n)],
    ['one that was set back', () => (at.upstream.revision = 20)],
  ] as const)
    test(what, async () => {
      const [client, watch] = await watching();
      at.tell(watch, 'k');
      const { stats } = at.hub.shared.permits;
      // While the store is the same one, a token that is unknown is no reason to end a watch.
      knowsToken = false;
      watch.end(GONE);
      await until('a question', () => stats.confirmations.token > 0);
      const again = await at.created('k');
      at.tell(again, 'k');
      assert.deepEqual([client.revisions, stats.ended.token], [[101, 102], 0]);
      change();
      again.end(GONE);
      await at.created('k');
      await until('the end of the stream', () => stats.ended.token === 1);
    });
});
