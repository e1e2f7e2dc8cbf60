/** etcd is set back to a backup: answers of the past that is gone must not come up again when its revisions do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectError } from '@connectrpc/connect';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { bytes } from '../reads/clients.ts';
import { Backup } from '../support/backup.ts';
import { until } from '../support/until.ts';
import { setUp } from './place.ts';

const KEY = bytes('k');

/** What is known of a lost past when the watch begins again: events in the range, or only the revision of an answer. */
for (const what of ['events', 'answers']) {
  test(`a store that is set back to a backup: ${what} of the lost past are forgotten`, async () => {
    await using held = new AsyncDisposableStack();
    const { etcd, hub, through, direct, warm } = await setUp(held);
    const member = etcd.first;
    const put = (key: string, value: string) => direct.put({ key: bytes(key), value: bytes(value) });
    const putElsewhere = async (times: number) => {
      for (let i = 0; i < times; i++) await put('elsewhere', 'x');
    };
    const upToDate = () => [...hub.feeds()].every(({ applied, syncPoint }) => applied >= syncPoint);
    // Two entries: a read of the first one shows how far etcd is, before the second is read.
    const ask = async (limit: bigint) => {
      const { kvs } = await through.range({ key: KEY, limit, serializable: true });
      return Buffer.from(kvs[0]?.value ?? []).toString();
    };
    await put('k', 'saved');
    for (const limit of [1n, 2n]) await warm({ key: KEY, limit });
    const backup = held.use(await Backup.of(member));
    await until('etcd', () => reachable(() => putElsewhere(5)));
    if (what === 'events') await put('k', 'lost with the backup');
    await until('the proxy to be told the revision', () => reachable(() => through.range({ key: KEY })));
    for (const limit of [1n, 2n]) await warm({ key: KEY, limit });
    if (what === 'events') await until('the feed to have the event', upToDate);
    await backup.restore();
    await until('etcd', () => reachable(() => put('k', 'after')));
    const live = () => [...hub.feeds()].every(({ state }) => state === 'live');
    await until('the watch', live);
    await putElsewhere(20);
    assert.equal(await ask(1n), 'after');
    for (const feed of hub.feeds()) await new Promise<void>((done) => feed.progress.ask(0, done));
    for (const limit of [1n, 2n, 1n, 2n]) assert.equal(await ask(limit), 'after', `limit ${limit}`);
    for (const limit of [1n, 2n]) await warm({ key: KEY, limit });
    for (const limit of [1n, 2n]) assert.equal(await ask(limit), 'after', 'from memory');
  });
}

/** Whether a call succeeds; `false` while etcd cannot be reached. */
async function reachable(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    const { code } = error instanceof RpcError ? error : ConnectError.from(error);
    if (code === Code.UNAVAILABLE) return false;
    throw error;
  }
}
