/** SIGTERM: no call in progress is lost, streams end with a code that clients resume from, exit code 0. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { bytes, connectTo } from '../failover/load.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

test('a unary call in progress is answered, a watch ends with UNAVAILABLE, new connections are refused', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const direct = createClient(Lock, createGrpcTransport({ baseUrl: etcd.first.url }));
  const proxied = createClient(Lock, createGrpcTransport({ baseUrl: proxy.url }));
  const name = bytes('mutex');
  const holder = await direct.lock({ name });
  const waiting = proxied.lock({ name });
  const { watch } = connectTo(proxy.url);
  const never = Promise.withResolvers<void>();
  const responses = watch
    .watch(
      (async function* () {
        yield { requestUnion: { case: 'createRequest' as const, value: { key: bytes('k') } } };
        await never.promise;
      })(),
    )
    [Symbol.asyncIterator]();
  assert.equal((await responses.next()).value?.created, true);
  await until('the lock waits', async () => {
    const { count } = await connectTo(etcd.first.url).kv.range({
      key: bytes('mutex/'),
      rangeEnd: bytes('mutex0'),
    });
    return count === 2n;
  });

  proxy.process.signal('SIGTERM');
  const ending = await responses.next().then(
    () => assert.fail('the watch went on'),
    (error: unknown) => ConnectError.from(error),
  );
  assert.equal(ending.code, Code.Unavailable, String(ending));
  assert.match(ending.rawMessage, /shutting down/);
  await direct.unlock({ key: holder.key });
  assert.ok((await waiting).key.length > 0, 'the lock that waited was granted through the proxy');
  assert.equal((await proxy.process.waitForExit(20_000)).code, 0);
  never.resolve();
});
