/** A connection lasts for 2^30 streams, which a busy proxy has had after a day or two; calls that stay may be on it then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Election, KV, Lock, Maintenance } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Pool } from '../../src/upstream/pool.ts';
import { StreamUpstreamCall } from '../../src/upstream/stream-call.ts';
import { UnaryUpstreamCall } from '../../src/upstream/unary-call.ts';
import { until } from '../support/until.ts';
import { clientOptions, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);
const LAST_ID = 2 ** 31 - 1;

const callOf = (method: Method) => new OwnCall(method, NO_METADATA, Number.POSITIVE_INFINITY);

test('a connection that has used up its streams is left', async () => {
  await using held = new AsyncDisposableStack();
  const member = held.use(await ScriptedEtcd.start());
  const { options, heard } = clientOptions([member]);
  const { observer } = options;
  const pool = new Pool(options);
  held.defer(() => pool.close());
  pool.start();
  await until('a connection', () => pool.routes.length === 1);
  const receive = { maxBytes: 1 << 20, tooLarge: () => 'too large' };
  const environment = { pool, observer, maxAttempts: 5, receive };
  const ask = (method: Method): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      new UnaryUpstreamCall(environment, EMPTY, callOf(method), resolve, reject).start();
    });
  const ended: string[] = [];
  const open = (method: Method): void => {
    const listener = { onHeaders: () => {}, onMessage: () => {}, onDrain: () => {} };
    const onEnd = ({ code }: { code: number }) => ended.push(`${method.name} ${code}`);
    new StreamUpstreamCall(environment, callOf(method), { ...listener, onEnd }).send(EMPTY);
  };
  const exhaust = (): void => {
    for (const { connection } of pool.routes)
      (connection as unknown as { table: { nextId: number } }).table.nextId = LAST_ID - 2;
  };
  const allOpen = (): boolean => pool.routes.every(({ connection }) => connection.canOpenStream);

  // A write and a Lock are under way, and stay where they are.
  member.calls = 'silence';
  for (const method of [KV.Put, Lock.Lock]) ask(method).catch(() => {}); // it has no answer
  await until('the write and the Lock', () => member.count(Lock.Lock.path) === 1);
  member.calls = 'serve';
  exhaust();
  open(Maintenance.Snapshot);
  for (let i = 0; i < 10; i++) await ask(KV.Range);
  assert.ok(allOpen());
  assert.equal(member.connections, 2);
  assert.equal(member.count(KV.Put.path), 1);
  assert.deepEqual(ended, []);

  // One that follows has been answered, so that its client has to resume.
  open(Election.Observe);
  await until('the Observe', () => member.messages.length === 2);
  member.messages[1]?.stream.send(member.reply());
  await ask(KV.Range);
  exhaust();
  for (let i = 0; i < 5; i++) open(Election.Observe);
  await until('its end', () => ended.length === 1);
  for (let i = 0; i < 5; i++) await ask(KV.Range);
  assert.deepEqual(ended, ['Observe 14']);
  assert.ok(allOpen());
  assert.equal(heard.switches.length, 0);
});
