/** What clients may name in watches, in all: long keys, long tokens, watches that etcd refuses, requests of many fields. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { MOST_FIELDS, TOO_MANY_FIELDS } from '../../src/etcd/bounded-fields.ts';
import type { WatchHubOptions } from '../../src/watch/hub.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import type { ScriptedClient } from '../watch/scripted-client.ts';
import { KIB, MIB, ScriptedHub } from '../watch/scripted-hub.ts';

let at: ScriptedHub;

function start(limits: Partial<WatchHubOptions> = {}): void {
  at = new ScriptedHub(limits);
  at.upstream.creates = true;
}

afterEach(() => at[Symbol.dispose]());

const longKey = (name: string, i: number): Uint8Array => b(`${name}${i}/`.padEnd(400 * KIB, 'k'));

/** The latest reply of a client, once there are so many. */
async function reply(client: ScriptedClient, count: number) {
  await until(`reply ${count}`, () => client.responses.length >= count);
  return client.responses[count - 1] as (typeof client.responses)[number];
}

/** Has etcd answer no read until what this returns is called. */
function holdReads({ upstream }: ScriptedHub): () => void {
  const answered = Promise.withResolvers<void>();
  const unary = upstream.unary.bind(upstream);
  upstream.unary = async (request, call) => {
    await answered.promise;
    return unary(request, call);
  };
  return answered.resolve;
}

describe('long keys', () => {
  test('that are watched take a bounded number of bytes, and short ones go on', async () => {
    start();
    const client = at.client();
    let granted = 0;
    for (let i = 0; i < 200; i++) {
      client.watch({ key: longKey('a', i), watchId: BigInt(i + 1) });
      const { created, canceled, cancelReason, watchId } = await reply(client, i + 1);
      assert.ok(created && at.hub.shared.longKeys.bytes <= 64 * MIB);
      if (canceled)
        assert.deepEqual([watchId, /too many bytes of long keys/.test(cancelReason)], [-1n, true]);
      else granted++;
    }
    assert.equal(granted, Math.floor((64 * MIB) / (400 * KIB)));
    assert.equal(at.hub.stats.limits.long_keys, 200 - granted);
    // Both forms of one key are the same range.
    client.watch({ key: longKey('a', 0), rangeEnd: b('z') });
    assert.equal((await reply(client, 201)).canceled, true);
    client.watch({ key: b('short'), rangeEnd: b('shorter') });
    assert.equal((await reply(client, 202)).canceled, false);
    client.cancel(1n);
    assert.equal((await reply(client, 203)).canceled, true);
    client.watch({ key: longKey('b', 1) });
    assert.equal((await reply(client, 204)).canceled, false, 'there is room again');
    client.leave();
    assert.equal(at.hub.shared.longKeys.bytes, 0);
  });

  test('leave nothing behind where no watch comes of them', async () => {
    start();
    const client = at.client();
    client.watch({ key: b('first'), watchId: 7n });
    await reply(client, 1);
    // A number that is taken.
    client.watch({ key: longKey('a', 1), watchId: 7n });
    assert.equal((await reply(client, 2)).canceled, true);
    assert.equal(at.hub.shared.longKeys.bytes, 0);
    // An empty range, which etcd refuses.
    at.upstream.creates = false;
    const before = at.upstream.watches.length;
    client.watch({ key: longKey('b', 2), rangeEnd: longKey('a', 2) });
    assert.ok(at.hub.shared.longKeys.bytes > 800 * 1000);
    await until('the watch that etcd is to refuse', () => at.upstream.watches.length > before);
    at.upstream.watches.at(-1)?.say(1, { created: true, canceled: true, cancelReason: 'etcd: no' });
    assert.equal((await reply(client, 3)).cancelReason, 'etcd: no');
    assert.equal(at.hub.shared.longKeys.bytes, 0);
    // Clients that leave while etcd is asked.
    for (let i = 0; i < 3; i++) {
      const another = at.client();
      another.watch({ key: longKey('c', i) });
      another.watch({ key: longKey('b', i), rangeEnd: longKey('a', i) });
      another.leave();
    }
    assert.ok(at.hub.shared.longKeys.bytes <= 3 * 400 * KIB, 'what etcd was to refuse is gone at once');
    await until('etcd has answered', () => at.hub.shared.longKeys.bytes === 0);
  });

  for (const fields of [[], ['token', 't']])
    test(`take no more while etcd does not answer, though clients ${fields.join(' ')} leave all the time`, async () => {
      start();
      const answer = holdReads(at);
      for (let i = 0; i < 200; i++) {
        const client = at.client(fields);
        client.watch({ key: longKey('a', i) });
        client.leave();
        assert.equal(client.held, 0);
      }
      assert.equal(at.hub.stats.limits.long_keys, 200 - Math.floor((64 * MIB) / (400 * KIB)));
      answer();
      await until('there is room again', () => at.hub.shared.longKeys.bytes === 0);
      const client = at.client(fields);
      client.watch({ key: longKey('a', 0) });
      assert.equal((await reply(client, 1)).canceled, false);
    });
});

describe('watches that etcd is to refuse', () => {
  test('are put to it a few at a time', async () => {
    start();
    const clients = Array.from({ length: 200 }, () => at.client());
    for (const [i, client] of clients.entries()) client.watch({ key: b(`b${i}`), rangeEnd: b('a') });
    assert.equal(at.upstream.watches.length, 64);
    assert.equal(at.hub.stats.limits.relays, 136);
    // Those that leave do not take a turn.
    for (const client of clients.slice(100, 110)) client.leave();
    clients[0]?.leave();
    assert.equal(at.upstream.watches.length, 65, 'the next one is at it');
    for (let i = 1; i < 190; i++)
      at.upstream.watches[i]?.say(1, { created: true, canceled: true, cancelReason: 'etcd: no' });
    assert.equal(at.upstream.watches.length, 190);
    const told = clients.filter(({ responses }) => responses[0]?.cancelReason === 'etcd: no');
    assert.equal(told.length, 189);
    assert.ok(!at.upstream.watches.some((stream) => stream.key === 'b105'));
  });
});

describe('feeds that nobody uses', () => {
  /** Longer than a busy machine takes for all of them. */
  const LINGER_MS = 600_000;

  test('are few in all, whoever they were for', async () => {
    start({ linger: LINGER_MS });
    for (let i = 0; i < 1500; i++) {
      const client = at.client(['token', `${i % 300}`]);
      client.watch({ key: b(`${i}`) });
      await reply(client, 1);
      client.leave();
    }
    assert.deepEqual([at.hub.shared.lingering.size, at.hub.stats.feeds], [1000, 1000]);
    assert.equal(at.hub.stats.limits.lingering, 500);
  });

  test('hold a bounded number of bytes of keys and tokens', async () => {
    start({ linger: LINGER_MS });
    for (let i = 0; i < 150; i++) {
      const client = at.client(['token', `${i}`.padEnd(200 * KIB, 't')]);
      client.watch({ key: i % 2 === 0 ? b(`${i}`) : longKey('k', i) });
      assert.equal((await reply(client, 1)).canceled, false);
      client.leave();
      assert.ok(at.hub.shared.lingering.bytes <= 16 * MIB, `${at.hub.shared.lingering.bytes}`);
    }
    assert.ok(at.hub.shared.lingering.size > 5 && at.hub.shared.lingering.size < 30);
    assert.equal(at.hub.stats.feeds, at.hub.shared.lingering.size);
    // One that is used again does not count.
    const before = at.hub.shared.lingering.size;
    const again = at.client(['token', '149'.padEnd(200 * KIB, 't')]);
    again.watch({ key: longKey('k', 149) });
    await reply(again, 1);
    assert.equal(at.hub.shared.lingering.size, before - 1);
  });
});

describe('a request of very many fields', () => {
  const many = (field: readonly number[]) =>
    Buffer.concat(Array.from({ length: MOST_FIELDS + 1 }, () => Buffer.from(field)));
  const within = (tag: number, body: Uint8Array) =>
    Buffer.concat([Buffer.of(tag, (body.length & 0x7f) | 0x80, body.length >> 7), body]);
  const requests: readonly (readonly [string, Uint8Array])[] = [
    ['that nobody knows', many([0x20, 0])],
    ['each a watch', many([0x0a, 0])],
    ['within the watch', within(0x0a, many([0x78, 0]))],
    ['within a cancellation', within(0x12, many([0x78, 0]))],
    ['packed', within(0x0a, within(0x2a, many([0])))],
    ['in a group', Buffer.concat([Buffer.of(0x23), many([0x28, 0]), Buffer.of(0x24)])],
  ];
  for (const [what, request] of requests)
    test(`${what}: not read, and its stream ends where etcd would not know of the watches on it`, async () => {
      start();
      const client = at.client();
      client.watch({ key: b('first') });
      await reply(client, 1);
      client.listener.onMessage(request);
      assert.equal(client.ending?.code, TOO_MANY_FIELDS.code);
      assert.equal(client.ending?.message, TOO_MANY_FIELDS.message);
      assert.equal(at.hub.stats.limits.fields, 1);
      assert.equal(at.hub.stats.watchers, 0);
    });

  test('fewer are read, and the last watch of several counts', async () => {
    start();
    const client = at.client();
    client.listener.onMessage(Buffer.of(0x0a, 0, 0x20, 0, 0x0a, 5, 0x0a, 1, 0x6b, 0x38, 7));
    const { created, watchId } = await reply(client, 1);
    assert.deepEqual([created, watchId], [true, 7n]);
  });
});
