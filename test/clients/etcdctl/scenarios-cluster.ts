/** The scenarios of members, endpoints and maintenance. */
import { join } from 'node:path';
import { atLeast, etcdutl, newestEtcd } from '../../support/etcd.ts';
import type { Side } from './side.ts';

const FORMATS = ['simple', 'table', 'json', 'fields', 'protobuf'] as const;

/** What etcdctl tells of a cluster in each of its formats, which must be equal to the last digit. */
export async function facts(side: Side): Promise<void> {
  for (const format of FORMATS) {
    await side.run(['member', 'list', '-w', format], { encoding: 'latin1' });
    await side.run(['endpoint', 'status', '-w', format], { encoding: 'latin1' });
    await side.run(['endpoint', 'hashkv', '-w', format], { encoding: 'latin1' });
  }
  await side.ok(['member', 'list']);
  await side.ok(['endpoint', 'status']);
  await side.ok(['endpoint', 'hashkv']);
  await side.ok(['endpoint', 'status', '--cluster', '-w', 'json']);
  if (atLeast(side.ctl, 3, 6)) await side.run(['endpoint', 'hashkv', '--rev=2']);
}

/** Questions that take an entry of etcd's log, so that they change what `facts` tells. */
export async function health(side: Side): Promise<void> {
  for (const format of FORMATS) {
    await side.run(['endpoint', 'health', '-w', format]);
    await side.run(['alarm', 'list', '-w', format], { encoding: 'latin1' });
  }
  if (atLeast(side.ctl, 3, 5)) await side.ok(['auth', 'status']);
  await side.ok(['endpoint', 'health']);
  await side.ok(['endpoint', 'health', '--cluster']);
}

/** A snapshot and what the tools of the release, or of the newest one, say of it. */
export async function snapshot(side: Side): Promise<void> {
  const cwd = await side.folder();
  const saved = await side.run(['snapshot', 'save', 'snap.db'], { cwd });
  if (saved.code !== 0) throw new Error(saved.stderr);
  if (!atLeast(side.ctl, 3, 6)) await side.run(['snapshot', 'status', 'snap.db', '-w', 'json'], { cwd });
  const newest = await newestEtcd();
  if (newest.etcdutl === undefined) return;
  const status = await etcdutl(newest, ['snapshot', 'status', join(cwd, 'snap.db'), '-w', 'json']);
  side.steps.push({ command: 'etcdutl snapshot status', ...status });
}

/** Compaction, defragmentation, alarms and a change of leader that cannot be. */
export async function maintenance(side: Side): Promise<void> {
  for (const value of ['1', '2', '3']) await side.ok(['put', 'history', value]);
  const facts = await side.ok(['put', 'history', '4', '-w', 'json']);
  const revision = Number(/"revision":(\d+)/.exec(facts)?.[1]);
  await side.ok(['compaction', `${revision - 2}`]);
  await side.fails(['compaction', `${revision - 2}`], /required revision has been compacted/);
  await side.fails(['compaction', '999999'], /future revision/);
  await side.ok(['compaction', `${revision - 1}`, '--physical']);
  await side.fails(['get', 'history', '--rev=2'], /required revision has been compacted/);
  await side.fails(['compaction', 'x']);
  await side.ok(['defrag']);
  await side.ok(['alarm', 'list']);
  await side.ok(['alarm', 'disarm']);
  await side.fails(['move-leader', 'abcdef1234'], /bad leader transferee/);
  if (atLeast(side.ctl, 3, 6)) await side.run(['downgrade', 'validate', '3.0.0']);
}

/** A learner that never comes: added, refused a vote, changed, removed. */
export async function members(side: Side): Promise<void> {
  const added = await side.ok(['member', 'add', 'm2', '--learner', '--peer-urls=http://127.0.0.1:1']);
  const id = /Member +([0-9a-f]+) added/.exec(added)?.[1];
  if (id === undefined) throw new Error(`no member id in ${added}`);
  await side.lines(['member', 'list']);
  await side.fails(['member', 'promote', id], /learner/);
  await side.ok(['member', 'update', id, '--peer-urls=http://127.0.0.1:2']);
  await side.fails(['member', 'add', 'm3', '--learner', '--peer-urls=http://127.0.0.1:2']);
  await side.ok(['member', 'remove', id]);
  await side.fails(['member', 'remove', '123456789abcdef'], /not found/);
  await side.fails(['member', 'promote', '123456789abcdef'], /not found/);
  await side.fails(['member', 'update', '123456789abcdef', '--peer-urls=http://127.0.0.1:3'], /not found/);
}
