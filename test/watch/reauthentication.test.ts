/**
 * Watches of users whose tokens are worth nothing any more when the proxy's stream to etcd breaks. Directly, the
 * client's own stream would break: it signs in again and goes on. Through the proxy it does the same.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildProbe, noGo, startWatching } from '../support/clientv3.ts';
import { atLeast, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { put } from '../support/watch-client.ts';
import { signIn, TOKEN_KINDS, type TokenKind, tokens } from './tokens.ts';

/** Seconds; only JWTs live so short here, since simple ones are forgotten when etcd restarts. */
const LIFE: Record<TokenKind, number> = { simple: 300, jwt: 3 };

const installs = await outerEtcds();

describe('clientv3 signs in again and goes on', { skip: noGo, concurrency: 4 }, () => {
  let failure: string | undefined;
  before(async () => {
    failure = await buildProbe();
  });
  for (const install of installs)
    for (const kind of TOKEN_KINDS)
      test(`etcd ${install.version}, ${kind} tokens`, { skip: cannotSignIn(install) }, async (context) => {
        if (failure === undefined) await goesOn(install, kind);
        else context.skip(failure);
      });
});

/** Directly, clientv3 does not come back to such a release either. */
function cannotSignIn(install: EtcdInstall): string | false {
  return !atLeast(install, 3, 5) && 'etcd 3.4 lets nobody sign in who still shows a token that is over';
}

async function goesOn(install: EtcdInstall, kind: TokenKind): Promise<void> {
  await using etcd = await startEtcd({ install, ...(await tokens(kind, LIFE[kind])) });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  for (const args of [
    ...['root', 'u'].map((name) => ['user', 'add', `${name}:pw`]),
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'r'],
    ['role', 'grant-permission', 'r', 'readwrite', 'w/', 'w0'],
    ['user', 'grant-role', 'u', 'r'],
    ['auth', 'enable'],
  ]) {
    const { code, stderr } = await etcd.etcdctl(args);
    assert.equal(code, 0, stderr);
  }
  await using direct = await startWatching(etcd.first.url, 'u:pw', 'w/');
  await using proxied = await startWatching(proxy.url, 'u:pw', 'w/');
  const write = async (value: string): Promise<void> => {
    using client = new RawGrpcClient(etcd.first.address);
    await until('a put with a token that is still good', async () => {
      const token = await signIn(client, 'u');
      return put(client, 'w/a', value, token).catch((error: unknown) => {
        if (!String(error).includes('invalid auth token')) throw error;
      });
    });
    for (const watching of [direct, proxied])
      assert.equal(await watching.waitForLine(/^event/, 20_000), `event w/a ${value}`);
  };
  for (const watching of [direct, proxied]) await watching.waitForLine(/^watching/, 20_000);
  // From here on their tokens have their life behind them, or a part of it.
  const signedIn = performance.now();
  await write('before');
  if (kind === 'jwt') await sleep(Math.max(0, LIFE.jwt * 1000 + 500 - (performance.now() - signedIn)));
  await etcd.first.restart();
  await write('after');
  await write('and after that');
}
