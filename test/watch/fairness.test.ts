/**
 * One client's flood of creates does not hold up another's single one, on the whole way to etcd and back: by how many of the
 * flood are there when the single one is, and when it has its first event.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { PROFILED, watchesOf } from '../support/etcd-load.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

/** A second's work, or more. */
const FLOOD = 10_000;
/** Of so many the single one comes when the flood is under way. */
const BEGUN = FLOOD / 20;
/** By then it would have waited for the flood. */
const MOST = FLOOD * 0.8;

/** Floods of which one has to be overtaken: this process may get no core until all of one is there. */
const TRIES = 3;

test(`beside ${FLOOD} watches that are being made, one more is made at once`, async (context) => {
  await using etcd = await startEtcd({ args: [PROFILED] });
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=0s'] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const single = new WatchCall(client);
  // What the first watch of all has to find out is known then.
  await single.created({ key: b('before') });
  /** How many of a flood were there before another watch was, and on etcd before that had its first event. */
  const overtaken = async (name: string): Promise<readonly [created: number, watchers: number]> => {
    const counts = new LoadCounts();
    using connection = await LoadConnection.open(proxy.address);
    const keys = Array.from({ length: FLOOD }, (_, i) => ({ key: b(`flood/${i}`) }));
    const flood = new LoadStream(connection, counts, keys);
    await counts.reach(() => counts.created >= BEGUN);
    await single.created({ key: b(name) });
    const { created } = counts;
    await put(direct, name, 'v');
    await single.revisions(1);
    const { watchers } = await watchesOf(etcd.first);
    flood.cancel();
    context.diagnostic(
      `with ${created} of the flood it was created, with ${watchers} on etcd it had an event`,
    );
    return [created, watchers];
  };
  for (let tries = 1; ; tries++) {
    const [created, watchers] = await overtaken(`single/${tries}`);
    if (created < MOST && watchers < MOST) break;
    assert.ok(tries < TRIES, `${created} were created before it, ${watchers} on etcd before it had an event`);
    await until('the flood is over', async () => (await watchesOf(etcd.first)).watchers < BEGUN);
  }
  single.close();
});
