/**
 * How etcds are found, apart from getting them: where the developer points, on PATH, by a tool module's pin, and
 * the lock that keeps two processes from getting the same one.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { etcdLines } from '../../scripts/etcd/etcds.ts';
import { pinnedVersion } from '../../scripts/etcd/go.ts';
import { pathInstall, pointedInstall } from '../../scripts/etcd/install.ts';
import { withLock } from '../../scripts/etcd/lock.ts';
import { newestEtcd } from './etcd.ts';
import { runProcess, tempDir } from './process.ts';

test('ETCD_BIN points to an etcd, whose tools are looked for beside it', async () => {
  const { source: _, ...newest } = await newestEtcd();
  const env = { ETCD_BIN: newest.etcd, ETCDCTL_BIN: newest.etcdctl };
  assert.deepEqual(await pointedInstall(env), { ...newest, source: 'ETCD_BIN' });
  assert.equal(await pointedInstall({}), undefined);
  assert.equal(await pointedInstall({ ETCD_BIN: '' }), undefined);
});

test('ETCD_BIN and ETCDCTL_BIN that point nowhere, or to something else, are errors', async () => {
  const { etcd } = await newestEtcd();
  await assert.rejects(pointedInstall({ ETCD_BIN: '/no/etcd' }), /\/no\/etcd is no program/);
  await assert.rejects(pointedInstall({ ETCD_BIN: etcd, ETCDCTL_BIN: '/no/ctl' }), /\/no\/ctl is no program/);
  await assert.rejects(pointedInstall({ ETCD_BIN: process.execPath }), /does not name a version of etcd/);
});

test('an etcd on PATH is found', async () => {
  const newest = await newestEtcd();
  const found = await pathInstall({ PATH: `/no/such/folder:${dirname(newest.etcd)}` });
  assert.deepEqual([found?.version, found?.source], [newest.version, 'PATH']);
  assert.equal(await pathInstall({ PATH: '/no/such/folder' }), undefined);
});

test('each tool module pins one release for all its programs', async () => {
  for (const line of etcdLines.filter((each) => Number(each.split('.')[1]) >= 6)) {
    const module = join(import.meta.dirname, '..', 'tools', `etcd-${line}`);
    const pinned = await pinnedVersion(module);
    assert.ok(pinned.startsWith(`${line}.`));
    const text = await readFile(join(module, 'go.mod'), 'utf8');
    for (const program of ['server', 'etcdctl', 'etcdutl'])
      assert.ok(text.includes(`go.etcd.io/etcd/${program}/v3 v${pinned} `), `${program} of ${line}`);
  }
});

test('a lock lets one in at a time', async () => {
  const path = join(await tempDir('lock'), 'lock');
  let inside = 0;
  const work = async (): Promise<void> => {
    assert.equal(++inside, 1);
    await sleep(20);
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => withLock(path, work)));
  await assert.rejects(
    withLock(path, () => Promise.reject(new Error('failed'))),
    /failed/,
  );
  await withLock(path, work);
});

test('a lock whose holder is gone is taken over', async () => {
  const path = join(await tempDir('lock'), 'lock');
  const { stdout: gone } = await runProcess('sh', ['-c', 'printf $$']);
  await writeFile(path, gone);
  assert.equal(await withLock(path, async () => 'in'), 'in');
});
