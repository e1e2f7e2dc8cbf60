/** The scenarios of keys, transactions, leases, locks and elections. */
import { atLeast } from '../../support/etcd.ts';
import { leaseId, type Side } from './side.ts';

/** Single keys, ranges, and every way to print them. */
export async function keys(side: Side): Promise<void> {
  for (const [key, value] of [
    ['a', '1'],
    ['b', '2'],
    ['b/1', 'x'],
    ['b/2', 'y'],
    ['c', 'ü €'],
  ])
    await side.ok(['put', key ?? '', value ?? '']);
  await side.ok(['put', 'a', '2', '--prev-kv']);
  await side.ok(['put', 'a', '--ignore-lease', '3']);
  await side.ok(['put', 'a', '--ignore-value']);
  await side.ok(['put', 'stdin'], 'from stdin');
  await side.ok(['put', 'a', '4', '-w', 'json']);
  await side.ok(['put', 'empty', '']);
  await side.fails(['put', '', 'x'], /key is not provided/);
  await side.fails(['put', 'none', '--ignore-value'], /key not found/);
  await side.fails(['put', 'a', 'x', '--lease=123'], /requested lease not found/);
  await side.fails(['put']);
  await reads(side);
  await side.ok(['del', 'b', '--prev-kv']);
  await side.ok(['del', 'b/', '--prefix', '-w', 'json']);
  await side.ok(['del', 'none']);
  await side.ok(['del', 'c', 'd', '-w', 'fields']);
  await side.ok(['del', 'empty', '--from-key']);
  await side.fails(['del', '']);
}

/** Values almost as large as etcd takes them, and an answer larger than any flow-control window. */
export async function largeValues(side: Side): Promise<void> {
  for (const at of [1, 2, 3, 4]) await side.ok(['put', `large/${at}`], `${at}`.repeat(1_500_000));
  await side.ok(['get', 'large/', '--prefix', '-w', 'json']);
  await side.ok(['get', 'large/1', '--print-value-only']);
  await side.ok(['del', 'large/', '--prefix', '--prev-kv']);
}

/** Reads only. */
export async function reads(side: Side): Promise<void> {
  await side.ok(['get', 'a']);
  await side.ok(['get', 'none']);
  await side.ok(['get', '', '--prefix', '--sort-by=version', '--order=DESCEND']);
  await side.ok(['get', 'b', '--from-key', '--limit=2', '-w', 'json']);
  await side.ok(['get', 'a', 'c', '--sort-by=modify', '--order=ASCEND', '-w', 'fields']);
  await side.ok(['get', 'a', '--rev=2', '-w', 'json']);
  await side.ok(['get', '', '--prefix', '--keys-only']);
  if (atLeast(side.ctl, 3, 5)) await side.ok(['get', 'b', '--prefix', '--count-only', '-w', 'fields']);
  await side.ok(['get', 'a', '--print-value-only', '--consistency=s']);
  await side.ok(['get', 'c', '--hex']);
  await side.fails(['get', 'a', '--rev=999999'], /future revision/);
  await side.run(['get', '']);
  await side.fails(['get', 'a', '-w', 'table']);
}

/** The bytes of an answer as they came, in which even the ids must be the same. */
export async function rawReads(side: Side): Promise<void> {
  await reads(side);
  await side.run(['get', '', '--prefix', '-w', 'protobuf'], { encoding: 'latin1' });
  await side.run(['get', 'none', '-w', 'protobuf'], { encoding: 'latin1' });
}

/** Transactions typed into etcdctl. */
export async function transactions(side: Side): Promise<void> {
  const good = 'value("t") = "0"\nmod("t") > "0"\n\nput t 1\nget t\n\nput t other\n\n';
  await side.ok(['put', 't', '0']);
  await side.ok(['txn', '-i'], good);
  await side.ok(['txn', '-i'], good);
  await side.ok(['txn'], 'create("t") = "0"\nversion("t") < "9"\n\nget t\n\ndel t --prefix\nget t\n\n');
  await side.ok(['txn', '-w', 'json'], '\nput x 1\nput y 2\nget x y\n\n\n');
  await side.ok(['txn', '-w', 'fields'], '\nget x\ndel y\n\n\n');
  await side.run(['txn'], { input: '\nput x 1\nput x 2\n\n\n' });
  await side.run(['txn'], { input: 'nonsense\n\n\n\n' });
  await side.run(['txn'], { input: '\nput x "quoted value\\n2"\n\n\n' });
  const many = Array.from({ length: 129 }, (_, at) => `put many/${at} ${at}`).join('\n');
  await side.run(['txn'], { input: `\n${many}\n\n\n` });
}

/** Leases from grant to revocation. */
export async function leases(side: Side): Promise<void> {
  const id = leaseId(await side.ok(['lease', 'grant', '100']));
  await side.ok(['put', 'lease/1', 'x', `--lease=${id}`]);
  await side.ok(['lease', 'timetolive', id, '--keys']);
  await side.ok(['put', 'lease/2', 'y', `--lease=${id}`]);
  await side.ok(['lease', 'timetolive', id]);
  await side.ok(['lease', 'list']);
  await side.ok(['lease', 'keep-alive', '--once', id]);
  await side.ok(['lease', 'keep-alive', '--once', id, '-w', 'json']);
  await side.ok(['lease', 'grant', '200', '-w', 'fields']);
  await side.run(['lease', 'grant', '0']);
  await side.run(['lease', 'grant', '-1']);
  await side.fails(['lease', 'grant', '9999999999'], /too large lease TTL/);
  await side.fails(['lease', 'grant', 'x']);
  const forward = await side.start(['lease', 'keep-alive', id]);
  await forward.process.waitForLine(/keepalived with TTL\(100\)/, 30_000);
  await side.end(forward, 'SIGINT');
  await side.ok(['lease', 'revoke', id]);
  await side.ok(['get', 'lease/', '--prefix', '-w', 'json']);
  await side.fails(['lease', 'revoke', id], /requested lease not found/);
  await side.run(['lease', 'timetolive', id]);
  await side.run(['lease', 'keep-alive', '--once', id]);
  await side.run(['lease', 'keep-alive', id]);
}

/** A lease that a client keeps alive until somebody else revokes it. */
export async function leaseRevokedElsewhere(side: Side): Promise<void> {
  const id = leaseId(await side.ok(['lease', 'grant', '6']));
  const stream = await side.start(['lease', 'keep-alive', id]);
  await stream.process.waitForLine(/keepalived with TTL\(6\)/, 30_000);
  await stream.process.waitForLine(/keepalived with TTL\(6\)/, 30_000);
  await side.ok(['lease', 'revoke', id]);
  await stream.process.waitForLine(/expired or revoked/, 30_000);
  await side.end(stream, undefined, /(lease \w+ keepalived with TTL\(6\)\n)+/);
}

/** A lock around a command, and two that want the same lock. */
export async function locks(side: Side): Promise<void> {
  const script = ['sh', '-c', `echo "\${ETCD_LOCK_KEY%/*} $ETCD_LOCK_REV"; exit 3`];
  await side.run(['lock', 'job', '--', ...script]);
  const first = await side.start(['lock', 'shared', '--ttl=60']);
  await first.process.waitForLine(/^shared\//, 30_000);
  const second = await side.start(['lock', 'shared', '--ttl=60']);
  await side.untilCount('shared/', 2);
  await side.end(first, 'SIGINT');
  await second.process.waitForLine(/^shared\//, 30_000);
  await side.end(second, 'SIGTERM');
  await side.untilCount('shared/', 0);
  await side.ok(['get', '', '--prefix', '--keys-only', '-w', 'json']);
}

/** Two candidates and somebody who looks on. */
export async function elections(side: Side): Promise<void> {
  const first = await side.start(['elect', 'chief', 'one']);
  await first.process.waitForLine(/^one$/, 30_000);
  const observer = await side.start(['elect', '--listen', 'chief']);
  await observer.process.waitForLine(/^one$/, 30_000);
  const second = await side.start(['elect', 'chief', 'two']);
  await side.untilCount('chief/', 2);
  await side.end(first, 'SIGINT');
  await second.process.waitForLine(/^two$/, 30_000);
  await observer.process.waitForLine(/^two$/, 30_000);
  await side.end(observer, 'SIGINT');
  await side.end(second, 'SIGINT');
  await side.untilCount('chief/', 0);
}
