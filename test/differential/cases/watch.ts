/** The watch stream: what is created and how, what is refused, which events come, and how it ends. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import {
  WatchCreateRequest_FilterType as Filter,
  Watch,
  type WatchCreateRequestSchema,
} from '#gen/etcdserverpb/watch_pb.js';
import { type Case, script } from '../case.ts';
import { at, b, rpc, under, zero } from '../rpc.ts';
import type { Script } from '../script.ts';

const { watch } = Watch.method;
const { put, range, deleteRange, txn, compact } = KV.method;

type Create = MessageInitShape<typeof WatchCreateRequestSchema>;

/** Something a client sends on a watch stream. */
export const wish = {
  create: (value: Create) => ({ requestUnion: { case: 'createRequest' as const, value } }),
  cancel: (watchId: bigint) => ({ requestUnion: { case: 'cancelRequest' as const, value: { watchId } } }),
  progress: { requestUnion: { case: 'progressRequest' as const, value: {} } },
};

const putAt = (key: string, value: string) => rpc(put, { ...at(key), value: b(value) });

async function revision(script: Script): Promise<bigint> {
  const { header } = await script.ask(range, { key: zero, limit: 1n });
  return header?.revision ?? 0n;
}

/** A change for each kind of event, five responses in all: two puts, a delete, a transaction, a put elsewhere. */
async function change(script: Script, key: string): Promise<void> {
  await script.runAll([
    putAt(key, '1'),
    putAt(key, '2'),
    rpc(deleteRange, at(key)),
    rpc(txn, {
      success: ['a', 'b'].map((name) => ({
        request: { case: 'requestPut' as const, value: { ...at(`${key}/${name}`), value: b(name) } },
      })),
    }),
    putAt(`elsewhere/${key}`, '1'),
  ]);
}

/** A watch that is created, sees changes as they happen, and is cancelled. */
function live(name: string, create: (key: string) => Create, responses: number): Case {
  const key = `watch/live/${name}`;
  return script(`watch: ${name}`, async (script) => {
    const stream = script.stream(watch);
    const request = create(key);
    stream.send(wish.create(request));
    await stream.take();
    await change(script, key);
    await stream.take(responses);
    stream.send(wish.cancel(request.watchId ?? 0n));
    await stream.take();
    stream.cancel();
  });
}

const SETTLE_MS = 200;

/** A watch on changes that have happened already, which then sees so many of a put and a delete. */
function past(name: string, create: Create, live: number): Case {
  const key = `watch/past/${name}`;
  return script(`watch: the past, ${name}`, async (script) => {
    const start = (await revision(script)) + 1n;
    await change(script, key);
    // What is past for the store may still be on its way to watches; how a backlog is cut into responses follows from that.
    await sleep(SETTLE_MS);
    const stream = script.stream(watch);
    stream.send(wish.create({ ...under(key), ...create, startRevision: start }));
    await stream.take(2);
    await script.runAll([putAt(key, 'live'), rpc(deleteRange, at(key))]);
    await stream.take(live);
    stream.cancel();
  });
}

/** A create request that etcd answers at once, and by that only. */
function refused(name: string, ...requests: readonly Create[]): Case {
  return script(`watch: ${name}`, async (script) => {
    const stream = script.stream(watch);
    for (const request of requests) {
      stream.send(wish.create(request));
      await stream.take();
    }
    stream.cancel();
  });
}

const liveCases: readonly Case[] = [
  live('one key', (key) => at(key), 3),
  live('a prefix', (key) => under(key), 4),
  live('from a key on', (key) => ({ ...at(key), rangeEnd: zero }), 4),
  live('the whole key space', () => ({ key: zero, rangeEnd: zero }), 5),
  live('an empty key, which is the least one', () => ({}), 0),
  live('an empty key up to the end', () => ({ rangeEnd: zero }), 5),
  live('previous values', (key) => ({ ...under(key), prevKv: true }), 4),
  live('no puts', (key) => ({ ...under(key), filters: [Filter.NOPUT] }), 1),
  live('no deletes', (key) => ({ ...under(key), filters: [Filter.NODELETE] }), 3),
  live('neither puts nor deletes', (key) => ({ ...under(key), filters: [Filter.NOPUT, Filter.NODELETE] }), 0),
  live('an unknown filter', (key) => ({ ...under(key), filters: [7 as Filter] }), 4),
  live('an id of the client', (key) => ({ ...under(key), watchId: 77n }), 4),
  live('a negative id', (key) => ({ ...under(key), watchId: -7n }), 4),
  live('a progress notification wanted', (key) => ({ ...under(key), progressNotify: true }), 4),
  live('fragments wanted, none needed', (key) => ({ ...under(key), fragment: true }), 4),
];

const pastCases: readonly Case[] = [
  past('a prefix', {}, 2),
  past('previous values', { prevKv: true }, 2),
  past('no puts', { filters: [Filter.NOPUT] }, 1),
  past('no deletes', { filters: [Filter.NODELETE] }, 1),
  past('an id of the client', { watchId: 5n }, 2),
];

const refusals: readonly Case[] = [
  refused('an end before the key', { ...at('b'), rangeEnd: b('a') }, at('watch/after')),
  refused('an end that is the key', { ...at('b'), rangeEnd: b('b') }),
  refused(
    'an id twice',
    { ...at('watch/id'), watchId: 9n },
    { ...at('watch/id'), watchId: 9n },
    at('watch/id'),
  ),
  script('watch: a negative start revision', async (script) => {
    // before the first compaction older releases take any revision
    await script.runAll([putAt('watch/neg', '1'), rpc(compact, { revision: await revision(script) })]);
    const stream = script.stream(watch);
    stream.send(wish.create({ ...at('watch/neg'), startRevision: -1n }));
    // older releases create the watch first and cancel it later
    await stream.takeUntil(({ canceled }) => canceled);
    stream.cancel();
  }),
  refused('ids of etcd beside ids of the client', { ...at('a'), watchId: 1n }, at('b'), at('c'), at('d')),
];

const starts: readonly Case[] = [
  script('watch: the present revision, and one of the future', async (script) => {
    await script.run(putAt('watch/now', '1'));
    const now = await revision(script);
    const stream = script.stream(watch);
    stream.send(wish.create({ ...at('watch/now'), startRevision: now }));
    await stream.take(2);
    stream.send(wish.create({ ...at('watch/now'), startRevision: now + 2n }));
    await stream.take();
    await script.run(putAt('watch/now', 'only the first watch sees this'));
    await stream.take();
    stream.send(wish.cancel(0n));
    await stream.take();
    await script.run(putAt('watch/now', 'the second one sees this'));
    await stream.take();
    stream.cancel();
  }),
  script('watch: revisions that no store will ever have, on a key that is watched', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create(at('watch/far')));
    await stream.take();
    for (const startRevision of [2n ** 63n - 1n, 2n ** 53n + 1n, 2n ** 53n - 1n, 1_000_000n]) {
      stream.send(wish.create({ ...at('watch/far'), startRevision }));
      await stream.take();
    }
    await script.run(putAt('watch/far', '1'));
    await stream.take();
    stream.cancel();
  }),
  script('watch: a compacted revision, and life goes on', async (script) => {
    await script.runAll(['1', '2', '3'].map((value) => putAt('watch/compacted', value)));
    const now = await revision(script);
    await script.run(rpc(compact, { revision: now }));
    const stream = script.stream(watch);
    stream.send(wish.create({ ...at('watch/compacted'), startRevision: now - 2n }));
    await stream.take(2);
    stream.send(wish.create({ ...at('watch/compacted'), startRevision: now }));
    await stream.take(2);
    await script.run(putAt('watch/compacted', '4'));
    await stream.take();
    stream.cancel();
  }),
];

export const watchCases: readonly Case[] = [...liveCases, ...pastCases, ...refusals, ...starts];
