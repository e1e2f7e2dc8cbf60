/** What statuses mean: told by what etcd says, word for word, and by signals beside the text, never by a sentence that quotes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isFinal } from '../../src/etcd/statuses.ts';
import {
  AUTH_IS_OFF,
  COMPACTED,
  LEADER_CHANGED,
  NO_LEADER,
  refusalIn,
  saysAuthIsOff,
  saysCompacted,
  saysLeaderChanged,
  saysNoLeader,
} from '../../src/etcd/words.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

describe('a watch is not opened again', () => {
  test('where no stream is left, which is said beside the text', () => {
    const text = 'no connection to etcd: whatever the words are';
    assert.ok(isFinal(new RpcError(Code.UNAVAILABLE, text, undefined, 'no-stream')));
    assert.ok(!isFinal(new RpcError(Code.UNAVAILABLE, text)));
  });

  test('and not because a text is like the one that says so', () => {
    const text = 'etcd allows no more streams on its connections (--max-concurrent-streams)';
    assert.ok(!isFinal(new RpcError(Code.UNAVAILABLE, text)));
    assert.ok(!isFinal(new RpcError(Code.UNAVAILABLE, `connection to etcd (10.0.0.1) lost: ${text}`)));
  });

  test('where the member has lost its leader', () => {
    assert.ok(isFinal(new RpcError(Code.UNAVAILABLE, NO_LEADER)));
  });
});

for (const [says, text] of [
  [saysNoLeader, NO_LEADER],
  [saysLeaderChanged, LEADER_CHANGED],
  [saysCompacted, COMPACTED],
  [saysAuthIsOff, AUTH_IS_OFF],
] as const)
  test(`"${text}" is etcd's only where a status begins with it`, () => {
    assert.ok(says({ message: text }));
    const quoted = `the only answer is older than what was told before: ${text}`;
    assert.ok(!says({ message: quoted }));
    assert.ok(!says({ message: '' }));
  });

test('a call that was refused because a leader was elected is not about the member', () => {
  assert.equal(refusalIn(new RpcError(Code.UNAVAILABLE, LEADER_CHANGED)), undefined);
  assert.notEqual(refusalIn(new RpcError(Code.UNAVAILABLE, 'something else')), undefined);
});
