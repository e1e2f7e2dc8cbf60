/**
 * Ranges at the edges of a namespace, for prefixes of every kind: what is asked within is answered as a bare etcd answers the
 * same, and nothing outside is read, counted, compared or deleted.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KV, RangeRequest_SortOrder } from '#gen/etcdserverpb/kv_pb.js';
import { Watch, type WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import type { Event, KeyValue } from '#gen/mvccpb/kv_pb.js';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { LONG, newestEtcds } from '../support/releases.ts';
import { InProcess } from './in-process.ts';

const { range, put, deleteRange, txn } = KV.method;

const key = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const shown = (bytes: Uint8Array | undefined): string =>
  JSON.stringify(Buffer.from(bytes ?? []).toString('latin1'));

const PREFIXES = LONG ? ['tenant/', '\0', 'x\xff', '\xff\xff', 'a'] : ['tenant/', 'x\xff', '\xff\xff'];

/** What clients have. */
const KEYS = ['\0', 'a', 'a\0', 'b', 'c\xff', '\xff', '\xff\xff'];
/** What they name. */
const NAMED = ['', ...KEYS, 'aa'];
const ENDS = ['', '\0', '\0\0', 'a', 'a\0', 'b', '\xff', 'd'];

/** Keys that are near a namespace and not in it. */
function neighbours(prefix: string): string[] {
  const near = [prefix, prefix.slice(0, -1), `${prefix.slice(0, -1)}\0`, `${prefix}`.replace(/.$/s, 'y')];
  const last = prefix.charCodeAt(prefix.length - 1);
  if (last < 0xff) near.push(prefix.slice(0, -1) + String.fromCharCode(last + 1));
  if (last > 0) near.push(`${prefix.slice(0, -1)}${String.fromCharCode(last - 1)}\xff`);
  const outside = near.filter((text) => text !== '' && (text === prefix || !text.startsWith(prefix)));
  return [...new Set(outside)];
}

const pair = (kv: KeyValue | undefined): string => `${shown(kv?.key)}=${shown(kv?.value)}`;

class Scene implements AsyncDisposable {
  readonly #held = new AsyncDisposableStack();
  bare!: InProcess;
  within!: InProcess;
  etcd!: InProcess;
  readonly #outside: string[];

  private constructor(prefix: string) {
    this.#outside = neighbours(prefix);
  }

  static async start(install: EtcdInstall, prefix: string): Promise<Scene> {
    const scene = new Scene(prefix);
    const one = scene.#held.use(await startEtcd({ install }));
    const other = scene.#held.use(await startEtcd({ install }));
    scene.bare = scene.#held.use(new InProcess(one.first.address));
    scene.etcd = scene.#held.use(new InProcess(other.first.address));
    scene.within = scene.#held.use(new InProcess(other.first.address, key(prefix)));
    for (const text of scene.#outside) await scene.etcd.ask(put, { key: key(text), value: key('outside') });
    await scene.fill();
    return scene;
  }

  /** Both have all keys. */
  async fill(): Promise<void> {
    for (const client of [this.bare, this.within])
      for (const text of KEYS) await client.ask(put, { key: key(text), value: key(`value of ${text}`) });
  }

  /** Nothing outside has changed. */
  async assertOutside(what: string): Promise<void> {
    for (const text of this.#outside) {
      const { kvs } = await this.etcd.ask(range, { key: key(text) });
      assert.deepEqual(
        kvs.map(({ value, version }) => [shown(value), version]),
        [['"outside"', 1n]],
        what,
      );
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }
}

type Ask = (client: InProcess) => Promise<unknown>;

async function assertSame({ bare, within }: Scene, what: string, ask: Ask): Promise<void> {
  assert.deepEqual(await ask(within), await ask(bare), what);
}

const reading =
  (request: object): Ask =>
  async (client) => {
    const outcome = await client.call(range, request);
    if ('code' in outcome) return outcome;
    const { kvs, count, more } = outcome.reply;
    return { kvs: kvs.map(pair), count, more };
  };

const deleting =
  (request: object): Ask =>
  async (client) => {
    const outcome = await client.call(deleteRange, { ...request, prevKv: true });
    return 'code' in outcome ? outcome : [outcome.reply.deleted, outcome.reply.prevKvs.map(pair)];
  };

const inTxn =
  (request: object | Uint8Array): Ask =>
  async (client) => {
    const outcome = await client.call(txn, request as object);
    if ('code' in outcome) return outcome;
    const { succeeded, responses } = outcome.reply;
    const parts = responses.map(({ response }) => {
      if (response.case === 'responseRange') return response.value.kvs.map(pair);
      if (response.case === 'responseDeleteRange') return response.value.prevKvs.map(pair);
      return response.case === 'responsePut' ? pair(response.value.prevKv) : response.case;
    });
    return { succeeded, parts };
  };

const opRange = (from: string, to: string) => ({
  request: { case: 'requestRange' as const, value: { key: key(from), rangeEnd: key(to) } },
});
const opPut = (at: string) => ({
  request: { case: 'requestPut' as const, value: { key: key(at), value: key('put'), prevKv: true } },
});
const opDelete = (from: string, to = '') => ({
  request: {
    case: 'requestDeleteRange' as const,
    value: { key: key(from), rangeEnd: key(to), prevKv: true },
  },
});
const opTxn = (...success: readonly object[]) => ({
  request: { case: 'requestTxn' as const, value: { success } },
});

const exists = (from: string, to: string) => ({
  key: key(from),
  rangeEnd: key(to),
  target: 0,
  result: 1,
  targetUnion: { case: 'version' as const, value: 0n },
});

/** Transactions that etcd looks at for their keys. */
const TXNS: readonly (readonly [name: string, success: readonly object[]])[] = [
  ['an empty key read', [opRange('', '\0')]],
  ['an empty key put', [opPut('')]],
  ['an empty key deleted', [opDelete('', '\0')]],
  ['a key put twice', [opPut('a'), opPut('a')]],
  ['a key put and deleted', [opPut('a'), opDelete('a')]],
  ['a key put and within what is deleted', [opDelete('a', 'b'), opPut('aa')]],
  ['a key put at the end of what is deleted', [opDelete('a', 'b'), opPut('b')]],
  ['deletes that overlap', [opDelete('a', 'c'), opDelete('b', '\0')]],
  ['a key put within, too', [opTxn(opPut('a')), opPut('a')]],
  ['a key deleted within', [opTxn(opDelete('a', '\0\0')), opPut('b')]],
  ['nothing within', [opTxn()]],
  ['an operation that is none', [{}]],
];

for (const install of await newestEtcds())
  for (const prefix of PREFIXES)
    describe(`a namespace ${shown(key(prefix))}, etcd ${install.version}`, () => {
      test('is what a bare etcd is, and touches nothing around it', async () => {
        await using scene = await Scene.start(install, prefix);
        for (const from of NAMED)
          for (const to of ENDS) {
            const asked = { key: key(from), rangeEnd: key(to) };
            const what = `${shown(asked.key)} to ${shown(asked.rangeEnd)}`;
            await assertSame(scene, `range ${what}`, reading(asked));
            const sorted = { ...asked, sortOrder: RangeRequest_SortOrder.DESCEND, limit: 2n, keysOnly: true };
            await assertSame(scene, `range ${what}, sorted`, reading(sorted));
            await assertSame(scene, `count ${what}`, reading({ ...asked, countOnly: true }));
            const compared = { compare: [exists(from, to)], success: [opRange(from, to)] };
            await assertSame(scene, `compare ${what}`, inTxn(compared));
          }
        for (const [name, success] of TXNS) {
          await assertSame(scene, name, inTxn({ success }));
          await scene.fill();
        }
        for (const from of NAMED)
          for (const to of ['', '\0', 'a', 'b\0']) {
            await assertSame(
              scene,
              `delete ${shown(key(from))} ${shown(key(to))}`,
              deleting({ key: key(from), rangeEnd: key(to) }),
            );
            await scene.fill();
          }
        await assertSame(scene, 'put of nothing', async (client) => client.call(put, { value: key('v') }));
        await scene.assertOutside('what was asked within');
      });

      test('is watched as a bare etcd is', async () => {
        await using scene = await Scene.start(install, prefix);
        const [within, bare] = [await watched(scene.within, scene), await watched(scene.bare, scene)];
        assert.deepEqual(within, bare);
        assert.ok(bare.some((events) => events.length > KEYS.length));
      });
    });

/** What watches of every range are told while keys are put and deleted. */
async function watched(client: InProcess, { etcd }: Scene): Promise<string[][]> {
  const watch = client.open(Watch.method.watch);
  const asked = NAMED.flatMap((from) => ENDS.map((to) => ({ key: key(from), rangeEnd: key(to) })));
  for (const [at, one] of asked.entries())
    watch.say({
      requestUnion: { case: 'createRequest', value: { ...one, watchId: BigInt(at + 1), prevKv: true } },
    });
  const created = (received: readonly WatchResponse[]) => received.filter((response) => response.created);
  await watch.wait('all created', (received) => created(received).length === asked.length);
  await etcd.ask(put, { key: key('elsewhere'), value: key('outside') });
  for (const text of [...KEYS, 'aa']) await client.ask(put, { key: key(text), value: key('new') });
  const { header } = await client.ask(deleteRange, { key: key('\0'), rangeEnd: key('\0') });
  const last = header?.revision ?? 0n;
  // What comes of it comes behind everything else. A progress response would not in 3.4 before 3.4.31.
  const end = await client.ask(put, { key: key('a'), value: key('end') });
  const isLater = ({ kv }: Event): boolean => (kv?.modRevision ?? 0n) > last;
  await watch.wait('the end', (received) => received.some(({ events }) => events.some(isLater)));
  watch.say({ requestUnion: { case: 'progressRequest', value: {} } });
  await watch.wait('progress', (received) =>
    received.some(
      (one) => one.watchId === -1n && !one.created && one.header?.revision === end.header?.revision,
    ),
  );
  watch.listener.onCancel();
  const told = asked.map((_, at) =>
    watch.received
      .filter(({ watchId }) => watchId === BigInt(at + 1))
      .flatMap(({ events }) => events)
      .filter((event) => !isLater(event))
      .map(({ type, kv, prevKv }) => `${type} ${pair(kv)} ${pair(prevKv)}`),
  );
  return [...told, watch.received.filter(({ canceled }) => canceled).map(({ cancelReason }) => cancelReason)];
}

describe('what differs from a bare etcd, and is written down', () => {
  test('an empty range_end that is written out is none, in every release', async () => {
    for (const install of await newestEtcds()) {
      await using scene = await Scene.start(install, 'tenant/');
      const request = Uint8Array.of(0x0a, 1, 0x61, 0x12, 0);
      const outcome = await scene.within.call(range, request);
      assert.ok('reply' in outcome);
      assert.deepEqual(
        outcome.reply.kvs.map((kv) => shown(kv.key)),
        ['"a"'],
      );
    }
  });

  test('a put of what the same transaction deletes from a key on is a duplicate', async () => {
    for (const install of await newestEtcds()) {
      await using scene = await Scene.start(install, 'tenant/');
      const success = [opDelete('a', '\0'), opPut('b')];
      assert.deepEqual(await inTxn({ success })(scene.within), {
        code: 3,
        message: 'etcdserver: duplicate key given in txn request',
      });
      // etcd overlooks it where the range has no end.
      assert.equal(((await inTxn({ success })(scene.bare)) as { succeeded: boolean }).succeeded, true);
    }
  });
});
