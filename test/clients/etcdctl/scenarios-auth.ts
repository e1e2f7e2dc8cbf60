/** The scenario of users and roles: made, used, refused and done away with. */
import { atLeast } from '../../support/etcd.ts';
import { leaseId, type Side } from './side.ts';

const ROOT = ['--user', 'root:root-secret'];
const ALICE = ['--user=alice', '--password=alice-secret'];

/** Users and roles, before anybody has to be one. */
async function accounts(side: Side): Promise<void> {
  await side.fails(['auth', 'enable'], /root user does not exist/);
  await side.ok(['user', 'add', 'root:root-secret']);
  await side.ok(['user', 'add', 'alice', '--interactive=false'], 'first-secret\n');
  await side.ok(['user', 'passwd', 'alice', '--interactive=false'], 'alice-secret\n');
  await side.ok(['user', 'add', 'nobody', '--no-password']);
  await side.fails(['user', 'add', 'alice:again'], /user name already exists/);
  await side.ok(['role', 'add', 'root']);
  await side.ok(['role', 'add', 'reader']);
  await side.fails(['role', 'add', 'reader'], /role name already exists/);
  await side.ok(['role', 'grant-permission', 'reader', 'readwrite', 'a/', '--prefix=true']);
  await side.ok(['role', 'grant-permission', 'reader', 'read', 'one']);
  await side.ok(['role', 'grant-permission', 'reader', 'write', 'x', 'y']);
  await side.ok(['role', 'revoke-permission', 'reader', 'x', 'y']);
  await side.ok(['role', 'get', 'reader']);
  await side.ok(['role', 'get', 'reader', '-w', 'json']);
  await side.ok(['role', 'list']);
  await side.ok(['user', 'grant-role', 'root', 'root']);
  await side.ok(['user', 'grant-role', 'alice', 'reader']);
  await side.fails(['user', 'grant-role', 'alice', 'missing']);
  await side.ok(['user', 'get', 'alice', '--detail']);
  await side.ok(['user', 'list', '-w', 'json']);
}

/** Calls of somebody who may do a little. */
async function asAlice(side: Side): Promise<void> {
  const stored = await side.ok(['put', 'a/1', 'hers', '-w', 'json', ...ALICE]);
  const revision = Number(/"revision":(\d+)/.exec(stored)?.[1]);
  await side.ok(['get', 'a/', '--prefix', ...ALICE]);
  await side.fails(['get', 'b', ...ALICE], /permission denied/);
  await side.fails(['put', 'one', 'x', ...ALICE], /permission denied/);
  await side.ok(['txn', ...ALICE], '\nput a/2 2\nget a/ a0\n\n\n');
  await side.run(['txn', ...ALICE], { input: '\nput a/2 2\nput b 2\n\n\n' });
  const hers = await side.start(['watch', 'a/', '--prefix', `--rev=${revision}`, ...ALICE]);
  await hers.process.waitForLine(/^hers$/, 30_000);
  await hers.process.waitForLine(/^2$/, 30_000);
  await side.end(hers, 'SIGINT');
  await side.end(await side.start(['watch', 'b', '--rev=1', ...ALICE]));
  const lease = leaseId(await side.ok(['lease', 'grant', '100', ...ALICE]));
  await side.ok(['put', 'a/leased', 'x', `--lease=${lease}`, ...ALICE]);
  await side.ok(['lease', 'keep-alive', '--once', lease, ...ALICE]);
  await side.ok(['lease', 'revoke', lease, ...ALICE]);
  await side.run(['snapshot', 'save', 'snap.db', ...ALICE], { cwd: await side.folder() });
  await side.fails(['user', 'list', ...ALICE], /permission denied/);
  await side.run(['member', 'list', ...ALICE]);
  await side.run(['lock', 'a/lock', ...ALICE, '--', 'echo', 'locked']);
}

/** Everything about users and roles. */
export async function auth(side: Side): Promise<void> {
  await accounts(side);
  await side.ok(['auth', 'enable']);
  await side.fails(['get', 'a/1'], /user name is empty/);
  await side.fails(['put', 'a/1', 'x']);
  await side.end(await side.start(['watch', 'a/1', '--rev=1']));
  await side.fails(['get', 'a/1', '--user', 'alice:wrong'], /invalid user ID or password/);
  await side.fails(['get', 'a/1', '--user', 'stranger:wrong'], /invalid user ID or password/);
  await side.fails(['get', 'a/1', '--user', 'nobody:']);
  await asAlice(side);
  await side.ok(['put', 'b', 'root', ...ROOT]);
  if (atLeast(side.ctl, 3, 5)) await side.ok(['auth', 'status', ...ROOT]);
  await side.run(['endpoint', 'health', ...ROOT]);
  await side.run(['endpoint', 'health', ...ALICE]);
  await side.ok(['user', 'revoke-role', 'alice', 'reader', ...ROOT]);
  await side.fails(['get', 'a/1', ...ALICE], /permission denied/);
  await side.ok(['user', 'delete', 'alice', ...ROOT]);
  await side.ok(['role', 'delete', 'reader', ...ROOT]);
  await side.fails(['auth', 'disable']);
  await side.ok(['auth', 'disable', ...ROOT]);
  await side.ok(['get', 'a/', '--prefix']);
}
