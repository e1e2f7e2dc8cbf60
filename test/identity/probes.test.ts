/** The one table of probes: who asks together, and what is remembered of what etcd said. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { Permission, Permissions } from '../../src/clients/permission.ts';
import type { ProbeResult } from '../../src/clients/probe.ts';
import { ProbeTable } from '../../src/clients/probes.ts';
import { RecentRefusals } from '../../src/clients/recent-refusals.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

/** A clock that each look moves on, so that no permission ends because the machine is busy. */
let now = 50_000;
beforeEach(() => {
  mock.method(performance, 'now', () => {
    now += 0.01;
    return now;
  });
});
afterEach(() => mock.restoreAll());

const NOBODY = clientIdentityOf(NO_METADATA);
const tokenOf = (token: string) => clientIdentityOf(new Metadata(['token', token]));

const RANGE = new KeyRange('a', 'b');
const REFUSAL = new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');

/** A question to etcd that the test answers. */
interface Question {
  readonly token: string | undefined;
  readonly request: Buffer;
  yes(): void;
  no(): void;
}

/** A table whose questions wait for the test. */
function table(permissions?: Permissions) {
  const questions: Question[] = [];
  const probes = new ProbeTable(
    (metadata, request) => {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      questions.push({
        token: metadata.get('token'),
        request: Buffer.from(request),
        yes: () => resolve(Uint8Array.of(0x0a, 2, 0x18, 7)),
        no: () => reject(REFUSAL),
      });
      return promise;
    },
    permissions === undefined ? {} : { permissions },
  );
  /** Asks, and collects what becomes of it. */
  const ask = (
    who: ReturnType<typeof tokenOf>,
    range: KeyRange,
    what: 'permission' | 'revision' = 'permission',
  ) => {
    const told: ProbeResult['kind'][] = [];
    probes.of(who, range)[what]({ askedStart: 0, onProbed: ({ kind }) => told.push(kind) });
    return told;
  };
  /** Those that were sent since the last time. */
  const sent = async () => {
    await turn();
    return questions.splice(0);
  };
  return { probes, ask, sent };
}

/** Lets everything happen that is ready to happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await turn();
}

describe('who asks together', () => {
  test('those with the same token and range, and those without a token whatever the range', async () => {
    const { probes, ask, sent } = table();
    const others = new KeyRange('c', '');
    const told = [
      ask(tokenOf('x'), RANGE),
      ask(tokenOf('x'), new KeyRange('a', 'b')),
      ask(tokenOf('y'), RANGE),
      ask(tokenOf('x'), others),
      ask(NOBODY, RANGE),
      ask(NOBODY, others),
    ];
    assert.equal(probes.size, 4);
    const questions = await sent();
    assert.deepEqual(
      questions.map(({ token }) => token),
      ['x', 'y', 'x', undefined],
      'each with its own token',
    );
    const names = (question: Question | undefined, key: string) =>
      question?.request.subarray(0, 3).equals(Buffer.from([0x0a, 1, key.charCodeAt(0)]));
    assert.ok(names(questions[0], 'a') && names(questions[2], 'c') && names(questions[3], '\0'));
    questions[0]?.yes();
    questions[1]?.no();
    await settle();
    assert.deepEqual(told, [['ok'], ['ok'], ['refused'], [], [], []]);
    assert.equal(probes.size, 2);
    questions[2]?.yes();
    questions[3]?.yes();
    await settle();
    assert.deepEqual(told.flat(), ['ok', 'ok', 'refused', 'ok', 'ok', 'ok']);
    assert.equal(probes.size, 0, 'nobody waits');
  });

  test('whoever comes when the question was sent asks again, also about what is too long to be remembered', async () => {
    const { probes, ask, sent } = table(new Permissions());
    const long = new KeyRange('k'.repeat(2 << 20), '');
    const first = ask(tokenOf('x'), long);
    const [question] = await sent();
    const second = ask(tokenOf('x'), long);
    assert.equal(probes.size, 1);
    assert.equal((await sent()).length, 0, 'not before the first is answered');
    question?.yes();
    await settle();
    assert.deepEqual([first, second], [['ok'], []]);
    (await sent())[0]?.yes();
    await settle();
    assert.deepEqual(second, ['ok']);
    assert.deepEqual([probes.size, probes.bytes], [0, 0]);
    assert.ok(probes.forgotten > 0);
  });
});

describe('what is remembered', () => {
  test('that etcd said yes to this client and this range; nothing where no permissions are kept', async () => {
    for (const permissions of [undefined, new Permissions()]) {
      const { probes, ask, sent } = table(permissions);
      for (const what of ['permission', 'revision'] as const) ask(tokenOf('x'), RANGE, what);
      const questions = await sent();
      assert.equal(questions.length, 2, 'of any member, and of the cluster');
      for (const question of questions) question.yes();
      await settle();
      assert.equal(probes.of(tokenOf('x'), RANGE).allowed, permissions !== undefined);
      assert.equal(probes.of(tokenOf('y'), RANGE).allowed, false);
      assert.equal(probes.of(tokenOf('x'), new KeyRange('a', 'c')).allowed, false);
      assert.equal(probes.of(NOBODY, RANGE).allowed, false);
    }
  });

  test('one call withdraws all of it, and what was asked before it', async () => {
    const permissions = new Permissions();
    const { probes, ask, sent } = table(permissions);
    const cached = new Permission(permissions);
    cached.grant(performance.now());
    ask(tokenOf('x'), RANGE);
    (await sent())[0]?.yes();
    await settle();
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, true);
    const late = ask(tokenOf('x'), RANGE);
    const [question] = await sent();
    permissions.withdraw(performance.now());
    const now = performance.now();
    assert.deepEqual([probes.of(tokenOf('x'), RANGE).allowed, cached.has(now)], [false, false]);
    question?.yes();
    await settle();
    assert.deepEqual(late, ['ok']);
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, false, 'asked before');
    ask(tokenOf('x'), RANGE);
    (await sent())[0]?.yes();
    await settle();
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, true, 'asked afterwards');
  });

  test('a refusal ends it, whatever is answered later to what was asked before', async () => {
    const { probes, ask, sent } = table(new Permissions());
    for (const who of [tokenOf('x'), tokenOf('y')]) ask(who, RANGE);
    for (const question of await sent()) question.yes();
    await settle();
    const { bytes } = probes;
    ask(tokenOf('x'), RANGE, 'permission');
    ask(tokenOf('x'), RANGE, 'revision');
    const [refused, allowed] = await sent();
    refused?.no();
    await settle();
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, false);
    assert.ok(probes.bytes < bytes, 'it is remembered no more');
    assert.equal(probes.size, 1, 'the other one is on its way');
    allowed?.yes();
    await settle();
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, false, 'asked before');
    assert.equal(probes.of(tokenOf('y'), RANGE).allowed, true, 'another client');
    assert.equal(probes.size, 0);
  });

  test('a refusal outlives what it ended: a slow read from before it brings nothing back', async () => {
    const { probes, ask, sent } = table(new Permissions());
    const before = performance.now();
    ask(tokenOf('x'), RANGE);
    (await sent())[0]?.no();
    await settle();
    assert.deepEqual([probes.size, probes.bytes], [0, 0], 'it is not in the table');
    probes.of(tokenOf('x'), RANGE).grant(before);
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, false, 'asked before');
    probes.of(tokenOf('y'), RANGE).grant(before);
    assert.equal(probes.of(tokenOf('y'), RANGE).allowed, true, 'another client');
    probes.of(tokenOf('x'), RANGE).grant(performance.now());
    assert.equal(probes.of(tokenOf('x'), RANGE).allowed, true, 'asked afterwards');
  });
});

describe('refusals', () => {
  const NEVER = Number.NEGATIVE_INFINITY;

  test('are known as long as a yes from before them would count', () => {
    const refusals = new RecentRefusals();
    refusals.add('a', 1);
    refusals.add('b', 500);
    refusals.add('a', 600);
    assert.deepEqual([refusals.of('a'), refusals.of('b'), refusals.of('c')], [600, 500, NEVER]);
    refusals.add('c', 1550);
    assert.deepEqual([refusals.of('a'), refusals.of('b'), refusals.size], [600, NEVER, 2]);
    assert.equal(refusals.forgotten, 0);
  });

  test('that found no room end all that was asked before them, of whomever nothing is known', () => {
    const refusals = new RecentRefusals({ entries: 2, bytes: 1000 });
    for (const [key, at] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      refusals.add(key, at);
    assert.deepEqual([refusals.of('a'), refusals.of('b'), refusals.of('new')], [1, 2, 1]);
    refusals.add('x'.repeat(1000), 4);
    assert.deepEqual([refusals.of('b'), refusals.of('new'), refusals.size, refusals.forgotten], [4, 4, 0, 4]);
  });
});
