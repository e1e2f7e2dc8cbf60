/**
 * With auth on, the watches of all who may watch a range are one on etcd, and nobody sees what etcd would not show: a user
 * whose permission is taken away loses its watches, and nobody else notices.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdInstall } from '../support/etcd.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { signIn, TOKEN_KINDS, type TokenKind, tokens } from '../watch/tokens.ts';
import { type Place, startPlace, watchesOn } from './place.ts';

const RANGE = { key: b('w/'), rangeEnd: b('w0') };
const DENIED = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied';
const TIMEOUT = { timeout: LONG ? 600_000 : 120_000 };
/** Clients of each user. */
const CLIENTS = LONG ? 100 : 3;

/** Watches a range, as a client that signs in by itself. */
async function watching(at: Place, user: string, range = RANGE): Promise<WatchCall> {
  const watch = new WatchCall(at.client, await at.as(user));
  await watch.created(range);
  return watch;
}

for (const install of await outerEtcds())
  for (const own of [true, false])
    for (const kind of TOKEN_KINDS)
      test(
        `etcd ${install.version}, ${kind} tokens, ${own ? 'with' : 'without'} a user of its own`,
        TIMEOUT,
        () => many(install, kind, own),
      );

/** Many clients of ten users; one user loses its permission. */
async function many(install: EtcdInstall, kind: TokenKind, own: boolean): Promise<void> {
  const users = Array.from({ length: 10 }, (_, i) => `u${i}`);
  const etcd = await tokens(kind, 600);
  await using at = await startPlace({ install, etcd, users, own, flags: ['--watch-reauthorize=500ms'] });
  const watches = new Map<string, WatchCall[]>();
  for (const user of users) {
    const all: WatchCall[] = [];
    for (let i = 0; i < CLIENTS; i++) all.push(await watching(at, user));
    watches.set(user, all);
  }
  const onEtcd = own ? 1 : users.length;
  await until('each watch on etcd is there', async () => (await watchesOn(at)) >= onEtcd);
  const first = await put(at.direct, 'w/a', '1', await signIn(at.direct, 'root'));
  for (const watch of [...watches.values()].flat()) assert.deepEqual(await watch.revisions(1), [first]);
  assert.equal(await watchesOn(at), onEtcd);

  await at.root('user', 'revoke-role', 'u3', 'u3');
  const fresh = await signIn(at.direct, 'root');
  for (const watch of watches.get('u3') ?? []) await isOver(watch, kind);
  const second = await put(at.direct, 'w/a', '2', fresh);
  for (const [user, all] of watches)
    if (user !== 'u3') for (const watch of all) await goesOn(at, user, watch, second, kind);
  const again = new WatchCall(at.client, await at.as('u3'));
  again.create({ ...RANGE, startRevision: BigInt(second) });
  assert.deepEqual((await again.must()).cancelReason, DENIED);
  for (const watch of [...watches.values()].flat()) watch.close();
}

/** etcd's reason ends a watch; where every token is too old, the stream ends, so that its client asks etcd itself. */
async function isOver(watch: WatchCall, kind: TokenKind): Promise<void> {
  const told = await watch.next();
  if (told === undefined && kind === 'jwt') assert.equal((await watch.end).code, 14);
  else
    assert.deepEqual(
      [told?.canceled, told?.cancelReason, told?.events.length, told?.created],
      [true, DENIED, 0, false],
    );
}

/** A watch gets an event; where every token is too old, perhaps when its client has signed in again. */
async function goesOn(at: Place, user: string, watch: WatchCall, revision: number, kind: TokenKind) {
  if (kind === 'simple') {
    assert.deepEqual(await watch.revisions(1), [revision], user);
    return;
  }
  const told = await watch.next();
  if (told !== undefined) assert.equal(Number(told.events[0]?.kv?.modRevision), revision);
  else {
    assert.equal((await watch.end).code, 14);
    const resumed = new WatchCall(at.client, await at.as(user));
    await resumed.created({ ...RANGE, startRevision: BigInt(revision) });
    assert.deepEqual(await resumed.revisions(1), [revision]);
    resumed.close();
  }
}
