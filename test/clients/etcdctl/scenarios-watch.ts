/**
 * The scenarios of watches. Most start at a revision, so that nothing depends on when etcd takes notice of them.
 */
import assert from 'node:assert/strict';
import { until } from '../../support/until.ts';
import type { Side, Started } from './side.ts';

/** The revision of the last write, as every etcdctl prints it. */
async function put(side: Side, key: string, value: string): Promise<number> {
  const revision = /"revision":(\d+)/.exec(await side.ok(['put', key, value, '-w', 'json']))?.[1];
  assert.ok(revision, 'put prints its revision');
  return Number(revision);
}

async function seen(started: Started, pattern: RegExp): Promise<void> {
  await started.process.waitForLine(pattern, 30_000);
}

/** Watches from the past on one key and on a range. */
export async function watchesOfThePast(side: Side): Promise<void> {
  const first = await put(side, 'w/1', 'one');
  await put(side, 'w/1', 'two');
  await side.ok(['del', 'w/1']);
  await put(side, 'w/1', 'end');
  const past = await side.start(['watch', 'w/1', `--rev=${first}`]);
  await seen(past, /^end$/);
  await side.end(past, 'SIGINT');
  const json = await side.start(['watch', 'w/', '--prefix', `--rev=${first}`, '-w', 'json']);
  await seen(json, /"type":1/);
  await side.end(json, 'SIGINT');
}

/** Watches on a range and on everything from the next revision on. */
export async function watches(side: Side): Promise<void> {
  const last = await put(side, 'w/2', 'before');
  const range = await side.start(['watch', 'w/', 'w0', '--prev-kv', `--rev=${last + 1}`]);
  const all = await side.start(['watch', '', '--prefix', `--rev=${last + 1}`, '-w', 'fields']);
  const changes = [
    ['put', 'w/2', 'there'],
    ['put', 'elsewhere', 'not in range'],
    ['del', 'w/', '--prefix'],
    ['put', 'w/2', 'last'],
  ];
  for (const [at, change] of changes.entries()) {
    await side.ok(change);
    // One at a time: how many events come in one answer is a matter of chance.
    await seen(all, new RegExp(`"ModRevision" : ${last + 1 + at}$`));
    await seen(all, /^"Lease" : /);
  }
  await seen(range, /^last$/);
  await side.end(range, 'SIGINT');
  await side.end(all, 'SIGTERM');
}

/** A watch that runs a command for each event. */
export async function watchExec(side: Side): Promise<void> {
  const revision = await put(side, 'exec', 'it');
  const script = 'echo "$ETCD_WATCH_KEY $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_VALUE"';
  const started = await side.start(['watch', 'exec', `--rev=${revision}`, '--', 'sh', '-c', script]);
  await seen(started, /^"exec" "PUT" "it"$/);
  await side.end(started, 'SIGINT');
}

/** A watch on revisions that are gone, and watches on what is no range. */
export async function watchErrors(side: Side): Promise<void> {
  const revision = await put(side, 'gone', '1');
  await put(side, 'gone', '2');
  await side.ok(['compaction', `${revision + 1}`]);
  const compacted = await side.start(['watch', 'gone', `--rev=${revision}`]);
  await side.end(compacted);
  const empty = await side.start(['watch', 'b', 'a']);
  await side.end(empty);
  const none = await side.start(['watch']);
  await side.end(none);
}

/** Watches typed into etcdctl, and the question how far they are. */
export async function watchInteractive(side: Side): Promise<void> {
  const revision = await put(side, 'i/1', 'first');
  const started = await side.start(['watch', '--interactive']);
  started.process.write(`watch --rev=${revision} i/1\n`);
  await seen(started, /^first$/);
  started.process.write(`watch --rev=${revision + 1} --prefix --prev-kv i/\n`);
  await side.ok(['put', 'i/2', 'second']);
  await side.ok(['put', 'i/2', 'third']);
  await seen(started, /^third$/);
  started.process.write('progress\n');
  await seen(started, /^progress notify: \d+$/);
  started.process.write('nonsense\n');
  started.process.endInput();
  // There are two watches to tell, and one may be told after the end.
  await side.end(started, undefined, /(progress notify: \d+\n)+/);
}

/** A watch that etcd tells now and then how far it is. */
export async function watchProgress(side: Side): Promise<void> {
  const revision = await put(side, 'progress', 'first');
  const started = await side.start(['watch', 'progress', '--progress-notify', `--rev=${revision}`]);
  await seen(started, /^first$/);
  await seen(started, new RegExp(`^progress notify: ${revision}$`));
  await side.ok(['put', 'progress', 'second']);
  await seen(started, /^second$/);
  await seen(started, new RegExp(`^progress notify: ${revision + 1}$`));
  await side.end(started, 'SIGINT', /(progress notify: \d+\n)+/g);
}

/** A watch from now on; how many writes it takes until it is there is not part of the comparison. */
export async function watchNow(side: Side): Promise<void> {
  const started = await side.start(['watch', 'now']);
  const writer = side.aside();
  await until('an event', async () => {
    await writer.ok(['put', 'now', 'sync']);
    return started.process.stdout.includes('sync\n');
  });
  await writer.ok(['put', 'now', 'end']);
  await seen(started, /^end$/);
  await side.end(started, 'SIGINT', /(PUT\nnow\nsync\n)+/g);
}

/** Keys copied under another prefix, first those that are there and then those that come. */
export async function mirror(side: Side): Promise<void> {
  for (const key of ['m/1', 'm/2', 'm/3']) await side.ok(['put', key, `of ${key}`]);
  const args = ['make-mirror', '--prefix=m/', '--dest-prefix=copy/', side.address];
  const started = await side.start(args);
  await side.untilCount('copy/', 3);
  await side.ok(['put', 'm/4', 'late']);
  await side.untilCount('copy/', 4);
  await side.ok(['get', 'copy/', '--prefix']);
  await side.end(started, 'SIGINT');
}
