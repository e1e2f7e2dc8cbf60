/** How often a registration is tried while etcd is away: by the delays that it asks for, which pass at once. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Login } from '../../src/clients/login.ts';
import { CALL_MS } from '../../src/members/leased-entry.ts';
import { OwnCalls } from '../../src/members/own-calls.ts';
import { Registration } from '../../src/members/registration.ts';
import { MembersStats } from '../../src/members/stats.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';

test('attempts that fail grow rarer, also when the process is old', async (t) => {
  const delays = await delaysOf(t, 30);
  assert.ok((delays[0] as number) < 200, `the first one comes soon: ${delays[0]}`);
  for (const delay of delays.slice(15)) assert.ok(delay > 3000, `a burden for who is in trouble: ${delays}`);
});

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
  const never = (): never => assert.fail('nothing is registered');
  const refuse = () => Promise.reject(new RpcError(Code.UNAVAILABLE, 'no etcd'));
  const registration = new Registration(
    { key: Buffer.from('k'), value: Buffer.from('v'), address: 'a:1', ttl: 5 },
    { calls: new OwnCalls(new Login(undefined)), unary: refuse, heartbeat: refuse, feeds: never },
    new MembersStats(),
    {
      onRegistered: never,
      onLost: never,
      onDeregistered: never,
      onLeftBehind: never,
      onFailed: () => {},
    },
  );
  registration.start();
  await enough.promise;
  registration.close();
  return delays;
}
