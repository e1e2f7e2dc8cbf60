/** What a registration does at an etcd that refuses, or does not answer: how often it is tried, by delays that pass at once, and what is said. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Login } from '../../src/clients/login.ts';
import { Lease } from '../../src/etcd/methods.ts';
import { CALL_MS } from '../../src/members/leased-entry.ts';
import { OwnCalls } from '../../src/members/own-calls.ts';
import { Registration } from '../../src/members/registration.ts';
import { MembersStats } from '../../src/members/stats.ts';
import type { UnaryHandler } from '../../src/rpc/contract.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

test('attempts that fail grow rarer, also when the process is old', async (t) => {
  const delays = await delaysOf(t, 30);
  assert.ok((delays[0] as number) < 200, `the first one comes soon: ${delays[0]}`);
  for (const delay of delays.slice(15)) assert.ok(delay > 3000, `a burden for who is in trouble: ${delays}`);
});

test('who stops before its entry was put says nothing of an entry', async () => {
  const putting = Promise.withResolvers<void>();
  let revoked = false;
  const registration = registrationAt((_, { method }) => {
    if (method === Lease.LeaseGrant) return Promise.resolve(GRANTED);
    if (method === Lease.LeaseRevoke) {
      revoked = true;
      return Promise.resolve(new Uint8Array());
    }
    putting.resolve();
    return Promise.withResolvers<never>().promise;
  });
  registration.start();
  await putting.promise;
  await registration.deregister();
  assert.ok(revoked, 'it may have been put, although nobody answered');
});

/** `LeaseGrantResponse` with a TTL of five seconds. */
const GRANTED = Uint8Array.of(0x18, 5);

/** A registration about which nothing is to be said but that it fails. */
function registrationAt(unary: UnaryHandler): Registration {
  const never = (): never => assert.fail('nothing is registered');
  return new Registration(
    { key: Buffer.from('k'), value: Buffer.from('v'), address: 'a:1', ttl: 5 },
    { calls: new OwnCalls(new Login(undefined)), unary, heartbeat: unary, feeds: never },
    new MembersStats(),
    {
      onRegistered: never,
      onLost: never,
      onDeregistered: never,
      onLeftBehind: never,
      onFailed: () => {},
    },
  );
}

/** The delays after so many attempts, an hour after the process began, at an etcd that refuses. */
async function delaysOf(t: TestContext, attempts: number): Promise<number[]> {
  const { now } = performance;
  t.mock.method(performance, 'now', () => now.call(performance) + 3_600_000);
  const delays: number[] = [];
  const enough = Promise.withResolvers<void>();
  const wait = setTimeout;
  t.mock.method(globalThis, 'setTimeout', (act: () => void, ms: number) => {
    if (ms === CALL_MS) return wait(act, ms);
    if (delays.push(ms) === attempts) enough.resolve();
    return wait(act, 0);
  });
  const registration = registrationAt(() => Promise.reject(new RpcError(Code.UNAVAILABLE, 'no etcd')));
  registration.start();
  await enough.promise;
  registration.close();
  return delays;
}
