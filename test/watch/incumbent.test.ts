/**
 * The ways in which etcd's own grpc-proxy loses events (its defects W1 to W6), each as a test that must pass here.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { b, compact, put, revision, span, WatchCall } from '../support/watch-client.ts';

/** etcd tells a backlog in responses of 1 000 revisions. */
const BACKLOG = LONG ? 5000 : 2500;

let etcd: EtcdCluster;
let proxy: RunningProxy;
let direct: RawGrpcClient;
let client: RawGrpcClient;

/** Many puts of a key, some at a time. Returns the first and the last revision. */
async function puts(key: string, count: number): Promise<[first: number, last: number]> {
  const first = (await revision(direct)) + 1;
  for (let done = 0; done < count; done += 100)
    await Promise.all(
      Array.from({ length: Math.min(100, count - done) }, (_, i) => put(direct, key, `${i}`)),
    );
  return [first, first + count - 1];
}

for (const install of await outerEtcds())
  describe(`etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    before(async () => {
      etcd = held.use(await startEtcd({ install }));
      proxy = held.use(await startProxy({ endpoints: etcd.endpoints }));
      direct = held.use(new RawGrpcClient(etcd.first.address));
      client = held.use(new RawGrpcClient(proxy.address));
    });
    after(() => held.disposeAsync());
    describe('W1: a backlog of more than one response beside a live watcher', () => {
      test('a second watcher from the first revision gets all', async () => {
        const live = new WatchCall(client);
        const { header } = await live.created({ key: b('w1') });
        const joined: Promise<number[]>[] = [];
        const calls: WatchCall[] = [live];
        const from = Number(header?.revision) + 1;
        const join = (): void => {
          const late = new WatchCall(client);
          calls.push(late);
          joined.push(
            late.created({ key: b('w1'), startRevision: BigInt(from) }).then(() => late.revisions(BACKLOG)),
          );
        };
        // Three come at random points while it happens, whatever the hub is doing then.
        const coming = [1, 2, 3].map(async () => {
          await sleep(Math.random() * 400);
          join();
        });
        const [, last] = await puts('w1', BACKLOG);
        await Promise.all(coming);
        const second = new WatchCall(client);
        calls.push(second);
        await second.created({ key: b('w1'), startRevision: BigInt(from) });
        const expected = span(from, last);
        assert.deepEqual(await second.revisions(BACKLOG), expected);
        assert.deepEqual(await live.revisions(BACKLOG), expected);
        for (const seen of await Promise.all(joined)) assert.deepEqual(seen, expected);
        const next = await put(direct, 'w1', 'live again');
        for (const call of calls) assert.deepEqual(await call.revisions(1), [next]);
        for (const call of calls) call.close();
      });

      test('the same without history', async () => {
        await using bare = await startProxy({
          endpoints: etcd.endpoints,
          flags: ['--watch-history-bytes=0', '--watch-history-revisions=1'],
        });
        using other = new RawGrpcClient(bare.address);
        const live = new WatchCall(other);
        await live.created({ key: b('w1b') });
        const [first, last] = await puts('w1b', BACKLOG);
        const second = new WatchCall(other);
        await second.created({ key: b('w1b'), startRevision: BigInt(first) });
        assert.deepEqual(await second.revisions(BACKLOG), span(first, last));
        assert.deepEqual(await live.revisions(BACKLOG), span(first, last));
        const next = await put(direct, 'w1b', 'live again');
        for (const call of [live, second]) assert.deepEqual(await call.revisions(1), [next]);
      });
    });

    describe('W2: a compacted cancel poisons nothing', () => {
      test('new watchers of the range get every event', async () => {
        const [first, last] = await puts('w2', 3);
        await compact(direct, last);
        const call = new WatchCall(client);
        await call.created({ key: b('w2'), startRevision: BigInt(first) });
        const ended = await call.must();
        assert.deepEqual(
          [ended.canceled, ended.compactRevision, ended.watchId, ended.header?.revision, ended.cancelReason],
          [true, BigInt(last), 0n, 0n, ''],
        );
        const later = new WatchCall(client);
        await later.created({ key: b('w2'), startRevision: BigInt(last + 1) });
        const now = new WatchCall(client);
        await now.created({ key: b('w2') });
        assert.equal((await call.created({ key: b('w2') })).watchId, 1n);
        const [from, to] = await puts('w2', 3);
        for (const watch of [later, now, call]) assert.deepEqual(await watch.revisions(3), span(from, to));
        for (const watch of [later, now, call]) watch.close();
      });

      test('behind a live watcher with history, the compacted revision is refused as by etcd', async () => {
        const live = new WatchCall(client);
        await live.created({ key: b('w2b') });
        const [first, last] = await puts('w2b', 3);
        await live.revisions(3);
        await compact(direct, last);
        const call = new WatchCall(client);
        await call.created({ key: b('w2b'), startRevision: BigInt(first) });
        assert.equal((await call.must()).compactRevision, BigInt(last));
        const next = await put(direct, 'w2b', '4');
        assert.deepEqual(await live.revisions(1), [next]);
        for (const watch of [live, call]) watch.close();
      });
    });
  });
