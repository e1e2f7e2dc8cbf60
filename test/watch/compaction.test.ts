/** A compaction in the middle: watchers behind it are cancelled with its revision, watchers ahead of it feel nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atLeast, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { outerEtcds } from '../support/releases.ts';
import { b, type Create, compact, put, remove, WatchCall } from '../support/watch-client.ts';

for (const install of await outerEtcds()) {
  test(`etcd ${install.version}: clients that do not read`, () => slowClients(install));
  test(`etcd ${install.version}: a delete at the revision itself`, () => deleted(install));
  test(`etcd ${install.version}: while the proxy has no connection`, () => cutOff(install));
  test(`etcd ${install.version}: a previous value that is gone`, () => withoutPrevious(install));
}

/** etcd 3.4 does not tell a watch from the compacted revision of a delete there; through the proxy it is the same. */
async function deleted(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const gone = (await put(direct, 'k', '1')) + 1;
  await remove(direct, 'k');
  await put(direct, 'other', '1');
  const last = await put(direct, 'k', '2');
  await compact(direct, gone, true);
  const expected = atLeast(install, 3, 5) ? [gone, last] : [last];
  for (const way of [direct, client]) {
    const watch = new WatchCall(way);
    await watch.created({ key: b('k'), startRevision: BigInt(gone) });
    assert.deepEqual(await watch.revisions(expected.length), expected);
    watch.close();
  }
}

/** A watch that starts at the compacted revision gets that event without the value before it, whatever the proxy remembers. */
async function withoutPrevious(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const keeper = new WatchCall(client);
  await keeper.created({ key: b('p/'), rangeEnd: b('p0'), prevKv: true });
  const revisions: number[] = [];
  for (const value of ['1', '2', '3', '4']) revisions.push(await put(direct, 'p/k', value));
  assert.deepEqual(await keeper.revisions(4), revisions);
  /** Revision and previous value of what a watch from a position gets first. */
  const seen = async (way: RawGrpcClient, from: number, create: Create): Promise<unknown[]> => {
    const watch = new WatchCall(way);
    await watch.created({ ...create, prevKv: true, startRevision: BigInt(revisions[from] as number) });
    const found: unknown[] = [];
    while (found.length < revisions.length - from)
      for (const { kv, prevKv } of (await watch.must()).events)
        found.push([Number(kv?.modRevision), prevKv && Buffer.from(prevKv.value).toString()]);
    watch.close();
    return found;
  };
  for (const at of [0, 1, 2]) {
    if (at > 0) await compact(direct, revisions[at] as number, true);
    for (const create of [{ key: b('p/k') }, { key: b('p/'), rangeEnd: b('p0') }])
      for (let from = at; from < revisions.length; from++) {
        const [ours, etcds] = [await seen(client, from, create), await seen(direct, from, create)];
        assert.deepEqual(ours, etcds);
        assert.deepEqual(ours[0], [revisions[from], from > at ? `${from}` : undefined]);
      }
  }
}

async function slowClients(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-history-revisions=5'] });
  using direct = new RawGrpcClient(etcd.first.address);
  using behindClient = new RawGrpcClient(proxy.address);
  using client = new RawGrpcClient(proxy.address);
  const behind = new WatchCall(behindClient);
  const ahead = new WatchCall(client);
  for (const call of [behind, ahead]) await call.created({ key: b('c') });
  behind.call.pause();
  const revisions: number[] = [];
  for (let i = 0; i < 400; i++) revisions.push(await put(direct, 'c', 'v'.repeat(20_000)));
  const last = revisions.at(-1) as number;
  assert.deepEqual(await ahead.revisions(400), revisions);
  await compact(direct, last);
  behind.call.resume();
  const seen: number[] = [];
  for (;;) {
    const { events, canceled, compactRevision } = await behind.must();
    for (const { kv } of events) seen.push(Number(kv?.modRevision));
    if (!canceled) continue;
    assert.equal(compactRevision, BigInt(last));
    break;
  }
  // What it had got before is whole: what the network held, then the end.
  assert.ok(seen.length < 400);
  assert.deepEqual(seen, revisions.slice(0, seen.length));
  const next = await put(direct, 'c', 'more');
  assert.deepEqual(await ahead.revisions(1), [next]);
}

async function cutOff(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install });
  await using relay = await Relay.open(etcd.first.address);
  await using proxy = await startProxy({ endpoints: [relay.address], flags: ['--dial-timeout=60s'] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const behind = new WatchCall(client);
  const ahead = new WatchCall(client);
  const now = await put(direct, 'elsewhere', 'v');
  await behind.created({ key: b('c') });
  await ahead.created({ key: b('c'), startRevision: BigInt(now + 3) });
  const seen = await put(direct, 'c', '1');
  assert.deepEqual(await behind.revisions(1), [seen]);
  relay.cut(true);
  const missed = await put(direct, 'c', '2');
  const next = await put(direct, 'c', '3');
  await compact(direct, next, true);
  relay.accept();
  const ended = await behind.must(60_000);
  assert.deepEqual([ended.canceled, ended.compactRevision], [true, BigInt(next)]);
  assert.equal(missed, now + 2);
  assert.deepEqual(await ahead.revisions(1), [next]);
  const more = await put(direct, 'c', '4');
  assert.deepEqual(await ahead.revisions(1), [more]);
}
