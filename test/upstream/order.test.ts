/** Serializable reads that are behind what clients were told: what they get, and how soon. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { type OrderOptions, SeenUpstream } from '../../src/clients/seen-upstream.ts';
import type { Call } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { method } from './scripted-etcd.ts';

const RANGE = method('/etcdserverpb.KV/Range');
/** RangeRequest{key: "k", serializable: true}. */
const READ = Buffer.of(0x0a, 1, 0x6b, 0x38, 1);

/** What a member answers: a revision, an error, or nothing until it is cancelled. */
type Answer = number | RpcError | 'silence';

/** Reads through members that answer as scripted, after clients were told revision 9. */
function read(strict: boolean, answers: Answer[], deadline = Number.POSITIVE_INFINITY, other?: number) {
  const seen = new SeenRevision();
  seen.saw(reply(9));
  const unary = async (_request: Uint8Array, call: Call): Promise<Uint8Array> => {
    const answer = answers.shift() ?? assert.fail('asked too often');
    if (typeof answer === 'number') return reply(answer);
    if (answer instanceof RpcError) throw answer;
    return new Promise((_, reject) => {
      call.work = { cancel: () => reject(new RpcError(Code.CANCELLED, 'context canceled')) };
    });
  };
  const elsewhere: OrderOptions['elsewhere'] = async (_request, _call, accepts) =>
    other !== undefined && accepts(reply(other)) ? reply(other) : undefined;
  const options = { range: RANGE, reads: () => true, strict, elsewhere };
  const upstream = new SeenUpstream({ unary, stream: () => assert.fail('no streams') }, seen, options);
  const call = new OwnCall(RANGE, NO_METADATA, deadline);
  return { upstream, seen, call, answer: Promise.resolve(upstream.unary(READ, call)) };
}

function reply(revision: number): Uint8Array {
  return Buffer.of(0x0a, 6, 0x08, 7, 0x10, 1, 0x18, revision);
}

for (const strict of [false, true]) {
  const refused = { code: Code.UNAVAILABLE };

  test(`a read that is behind is asked again (strict: ${strict})`, async () => {
    const { upstream, answer } = read(strict, [5, 9, 9]);
    assert.deepEqual(await answer, reply(9));
    assert.deepEqual(upstream.behind, { caughtUp: 1, elsewhere: 0, older: 0, refused: 0 });
  });

  test(`another endpoint has the newer answer (strict: ${strict})`, async () => {
    const lost = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
    const { upstream, answer } = read(strict, [5, lost], Number.POSITIVE_INFINITY, 9);
    assert.deepEqual(await answer, reply(9));
    assert.deepEqual(upstream.behind, { caughtUp: 0, elsewhere: 1, older: 0, refused: 0 });
    const late = read(strict, [5, lost], Number.POSITIVE_INFINITY, 6);
    if (strict) await assert.rejects(late.answer, refused);
    else assert.deepEqual(await late.answer, reply(5));
  });

  test(`what is behind once more is not given as if it were not (strict: ${strict})`, async () => {
    const { upstream, answer } = read(strict, [5, 9, 6]);
    if (strict) await assert.rejects(answer, refused);
    else assert.deepEqual(await answer, reply(6));
    assert.deepEqual(upstream.behind, {
      caughtUp: 0,
      elsewhere: 0,
      older: strict ? 0 : 1,
      refused: strict ? 1 : 0,
    });
  });

  test(`a member that is lost after it caught up leaves the older answer (strict: ${strict})`, async () => {
    const { answer } = read(strict, [5, 9, new RpcError(Code.UNAVAILABLE, 'lost')]);
    if (strict) await assert.rejects(answer, refused);
    else assert.deepEqual(await answer, reply(5));
  });

  test(`a member that cannot catch up, in whatever words, leaves the older answer (strict: ${strict})`, async () => {
    const { answer } = read(strict, [5, new RpcError(Code.UNKNOWN, 'context deadline exceeded')]);
    if (strict) await assert.rejects(answer, refused);
    else assert.deepEqual(await answer, reply(5));
  });

  test(`a client has the older answer before its deadline (strict: ${strict})`, async () => {
    const deadline = performance.now() + 2000;
    const { answer } = read(strict, [5, 'silence'], deadline);
    if (strict) await assert.rejects(answer, refused);
    else assert.deepEqual(await answer, reply(5));
    assert.ok(performance.now() < deadline, 'its client has given up');
  });

  test(`a cluster that was set back is taken for what it is (strict: ${strict})`, async () => {
    // A linearizable read that is behind: what was told before is of a past that is gone.
    const { upstream, seen, answer } = read(strict, [5, 5, 5]);
    assert.deepEqual(await answer, reply(5));
    assert.equal(seen.revision, 5);
    assert.equal(seen.replacements, 1);
    assert.deepEqual(upstream.behind, { caughtUp: 0, elsewhere: 0, older: 0, refused: 0 });
  });
}

test('a call that its client gives up meanwhile is not counted', async () => {
  const { upstream, call, answer } = read(false, [5, 'silence']);
  await new Promise(setImmediate); // the second question is asked
  call.cancel();
  await assert.rejects(answer, { code: Code.CANCELLED });
  assert.deepEqual(upstream.behind, { caughtUp: 0, elsewhere: 0, older: 0, refused: 0 });
});
