/** The watch stream as a whole: many watches, progress, cancels, fragments, half-close and nonsense. */

import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { progressIsSafe } from '../../../src/etcd/release.ts';
import { atLeast, type EtcdInstall } from '../../support/etcd.ts';
import { type Case, calls, script } from '../case.ts';
import { at, b, rawRpc, rpc, under, zero } from '../rpc.ts';
import type { Script, ScriptStream } from '../script.ts';
import { wish } from './watch.ts';

const { watch } = Watch.method;
const { put, range, txn } = KV.method;
type Stream = ScriptStream<typeof watch.input, typeof watch.output>;

const putAt = (key: string, value: string) => rpc(put, { ...at(key), value: b(value) });

/** Takes responses until each watch has had so many events; which watch is served first is chance. */
async function takeByWatch(script: Script, stream: Stream, events: number): Promise<void> {
  const byWatch = new Map<bigint, string[]>();
  for (let seen = 0; seen < events; ) {
    const [response] = await stream.read();
    if (response === undefined) throw new Error('no response');
    const list = byWatch.get(response.watchId) ?? [];
    byWatch.set(response.watchId, list);
    for (const { kv } of response.events) list.push(`${Buffer.from(kv?.key ?? [])} at ${kv?.modRevision}`);
    seen += response.events.length;
  }
  const sorted = [...byWatch].sort(([one], [two]) => Number(one - two));
  script.note('events by watch', Object.fromEntries(sorted.map(([id, list]) => [`watch ${id}`, list])));
}

const many: readonly Case[] = [
  script('watch stream: created replies come in the order of the requests', async (script) => {
    const stream = script.stream(watch);
    for (let index = 0; index < 60; index++)
      stream.send(
        wish.create(index % 10 === 9 ? { ...at('z'), rangeEnd: b('a') } : under(`many/${index % 7}`)),
      );
    await stream.take(60);
    stream.cancel();
  }),
  script('watch stream: fifty watches, all served, some cancelled', async (script) => {
    const stream = script.stream(watch);
    for (let index = 0; index < 50; index++)
      stream.send(wish.create({ ...under('fifty/'), watchId: BigInt(100 + index) }));
    await stream.take(50);
    await script.runAll([putAt('fifty/a', '1'), putAt('fifty/b', '2')]);
    await takeByWatch(script, stream, 100);
    for (let index = 0; index < 25; index++) stream.send(wish.cancel(BigInt(100 + 2 * index)));
    await stream.take(25);
    await script.run(putAt('fifty/c', '3'));
    await takeByWatch(script, stream, 25);
    stream.cancel();
  }),
  script('watch stream: two streams know nothing of each other', async (script) => {
    const [one, two] = [script.stream(watch), script.stream(watch)];
    for (const stream of [one, two]) {
      stream.send(wish.create({ ...at('two/streams'), watchId: 3n }));
      await stream.take();
    }
    one.send(wish.cancel(3n));
    await one.take();
    await script.run(putAt('two/streams', '1'));
    await two.take();
    one.cancel();
    two.cancel();
  }),
];

/** Where progress responses may overtake events the proxy does not use them (docs/watches.md). */
const untrusted = ({ version }: EtcdInstall): string | false =>
  progressIsSafe(version) ? false : 'the progress responses of this release cannot be trusted';

const progressOnRequest: Case = {
  ...script('watch stream: progress on request', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create(at('progress/key')));
    await stream.take();
    await script.run(putAt('progress/key', '1'));
    await stream.take();
    await script.run(putAt('progress/other', '1'));
    await progressAt(script, stream);
    stream.cancel();
  }),
  skip: untrusted,
};

const progressBesideTheFuture: Case = {
  ...script('watch stream: no progress beyond the store, for a watch that begins there', async (script) => {
    await script.run(putAt('progress/future', '1'));
    const now = (await script.ask(range, at('progress/future'))).header?.revision ?? 0n;
    const stream = script.stream(watch);
    stream.send(wish.create({ ...at('progress/future'), startRevision: now + 3n }));
    await stream.take();
    stream.send(wish.progress);
    for (const value of ['2', '3', '4']) await script.run(putAt('progress/future', value));
    await stream.take();
    await progressAt(script, stream);
    stream.cancel();
  }),
  skip: (install) =>
    untrusted(install) ||
    // etcd issue 20221, mended in 3.5.22 and 3.6.2.
    (!atLeast(install, 3, 6) && 'this release promises progress to watches that begin later'),
};

const wishes: readonly Case[] = [
  progressOnRequest,
  progressBesideTheFuture,
  script('watch stream: a cancel of an unknown id is not answered', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create(at('cancel/key')));
    await stream.take();
    for (const id of [404n, -1n]) stream.send(wish.cancel(id));
    stream.send(wish.cancel(0n));
    stream.send(wish.cancel(0n));
    await stream.take();
    stream.send(wish.create(at('cancel/key')));
    await stream.take();
    stream.cancel();
  }),
  script('watch stream: an id may be used again', async (script) => {
    const stream = script.stream(watch);
    for (let round = 0; round < 3; round++) {
      stream.send(wish.create({ ...at('again/key'), watchId: 4n }));
      await stream.take();
      await script.run(putAt('again/key', `${round}`));
      await stream.take();
      stream.send(wish.cancel(4n));
      await stream.take();
    }
    stream.cancel();
  }),
  script('watch stream: an empty request is passed over', async (script) => {
    const stream = script.stream(watch);
    stream.send({});
    stream.send(wish.create(at('empty/key')));
    await stream.take();
    stream.send({});
    await script.run(putAt('empty/key', '1'));
    await stream.take();
    stream.cancel();
  }),
  script('watch stream: a field of the request that nobody knows', async (script) => {
    const stream = script.stream(watch);
    // a create request of the key `u`, then field 1000
    stream.sendRaw(Uint8Array.of(0x0a, 3, 0x0a, 1, 0x75, 0xc0, 0x3e, 1));
    await stream.take();
    stream.cancel();
  }),
];

/** Asks for progress until it is told at the store's revision: while a watch lags behind, etcd does not answer. */
async function progressAt(script: Script, stream: Stream): Promise<void> {
  const { header } = await script.ask(range, { key: zero, limit: 1n });
  stream.send(wish.progress);
  const [response] = await stream.take();
  script.note('at the revision of the store', response?.header?.revision === header?.revision);
}

const ends: readonly Case[] = [
  script('watch stream: half-closed, events still arrive', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create(at('half/key')));
    stream.halfClose();
    await stream.take();
    await script.run(putAt('half/key', '1'));
    await stream.take();
    await script.run(putAt('half/key', '2'));
    await stream.take();
    stream.cancel();
  }),
  script('watch stream: bytes that are no message', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create(at('garbage/key')));
    await stream.take();
    stream.sendRaw(Uint8Array.of(0x0a, 0x7f, 1));
    await stream.untilEnd();
  }),
  script('watch stream: more events than fit a message, in fragments', async (script) => {
    const start = ((await script.ask(range, at('fragment'))).header?.revision ?? 0n) + 1n;
    const value = new Uint8Array(900).fill(102);
    for (let batch = 0; batch < 8; batch++)
      await script.run(
        rpc(txn, {
          success: Array.from({ length: 125 }, (_, index) => ({
            request: { case: 'requestPut' as const, value: { ...at(`fragment/${batch}/${index}`), value } },
          })),
        }),
      );
    const stream = script.stream(watch);
    stream.send(wish.create({ ...under('fragment/'), startRevision: start, fragment: true }));
    await stream.take();
    // Whether and where etcd cuts is a setting of its own, which the proxy may not know yet: what it adds up to counts.
    // That the proxy cuts at all where it knows is shown by the model of watches.
    const keys: string[] = [];
    const marks: boolean[] = [];
    while (keys.length < 1000)
      for (const { events, fragment } of await stream.read()) {
        keys.push(...events.map(({ kv }) => Buffer.from(kv?.key ?? []).toString()));
        marks.push(fragment);
      }
    script.note('keys in order', keys);
    if (script.side.kind.through === 'direct' && marks.length < 2) throw new Error('etcd did not cut');
    script.note(
      'each part but the last is a fragment',
      marks.every((mark, index) => mark === index < marks.length - 1),
    );
    stream.send(wish.create({ ...under('fragment/'), startRevision: start }));
    await stream.take(2);
    stream.cancel();
  }),
  script('watch stream: a backlog of more revisions than one response holds', async (script) => {
    const start = ((await script.ask(range, at('backlog'))).header?.revision ?? 0n) + 1n;
    const puts = Array.from({ length: 1100 }, (_, index) => putAt('backlog', `${index}`));
    await Promise.all(puts.map((call) => script.side.behind.call(call.path, [call.request])));
    const stream = script.stream(watch);
    stream.send(wish.create({ ...at('backlog'), startRevision: start }));
    await stream.take();
    const seen: bigint[] = [];
    while (seen.length < 1100)
      for (const { events } of await stream.read())
        seen.push(...events.map(({ kv }) => kv?.modRevision ?? 0n));
    script.note(
      'all revisions in order',
      seen.every((revision, index) => revision === start + BigInt(index)),
    );
    stream.cancel();
  }),
];

const nonsense = calls(
  'watch stream: garbage as the first message',
  rawRpc(watch, b('garbage'), { grpcOnly: true }),
);

export const watchStreamCases: readonly Case[] = [...many, ...wishes, ...ends, nonsense];
