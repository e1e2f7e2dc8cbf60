/**
 * An endpoint dies under load: clients do not notice. All endpoints die: clients are told within their deadline,
 * and everything works again when etcd does.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { bytes, connectTo, readLoop, type Watched, watchLoop, writeLoop } from './load.ts';

type Proxy = Awaited<ReturnType<typeof startProxy>>;

/** The member that the proxy is connected to, from its log. */
function memberInUse(cluster: EtcdCluster, proxy: Proxy) {
  const [endpoint] =
    [...proxy.process.stderr.matchAll(/"endpoint":"([^"]+)","msg":"connected to etcd"/g)].at(-1)?.slice(1) ??
    [];
  const member = cluster.members.find((candidate) => candidate.address === endpoint);
  assert.ok(member, `the log names the endpoint in use: ${endpoint}`);
  return member;
}

/** So many while nothing fails: each writer and the watch were served several times. */
const WRITES = 100;

test('kill -9 of the endpoint in use, three times, under load', async () => {
  await using cluster = await startEtcd({ members: 3 });
  const proxy = await startProxy({ endpoints: cluster.endpoints });
  try {
    const clients = connectTo(proxy.url);
    await clients.kv.put({ key: bytes('read'), value: bytes('x') });
    const stop = new AbortController();
    const readFailures: ConnectError[] = [];
    const seen: Watched = { keys: [], endings: [] };
    const readers = Array.from({ length: 8 }, () => readLoop(clients.kv, 'read', stop.signal, readFailures));
    const watcher = watchLoop(clients, 'w/', stop.signal, seen);
    const stopWriting = new AbortController();
    const writers = Array.from({ length: 4 }, (_, i) => writeLoop(clients.kv, `w/${i}/`, stopWriting.signal));
    const goesOn = async (): Promise<void> => {
      const before = seen.keys.length;
      await until('writes come through and are seen', () => seen.keys.length >= before + WRITES);
    };
    for (let round = 0; round < 3; round++) {
      await goesOn();
      const member = memberInUse(cluster, proxy);
      await member.kill('SIGKILL');
      await until('another endpoint is in use', () => memberInUse(cluster, proxy) !== member);
      await goesOn();
      await member.start();
      await member.waitHealthy();
    }
    stopWriting.abort();
    const writes = (await Promise.all(writers)).flat();
    const stored = await storedKeys(cluster);
    await until('the watch has seen every write', () => stored.size <= new Set(seen.keys).size);
    stop.abort();
    const reads = (await Promise.all(readers)).reduce((sum, count) => sum + count, 0);
    await watcher;

    assert.deepEqual(readFailures.map(String), [], `no read failed (of ${reads})`);
    assert.ok(reads > 100, `${reads} reads`);
    for (const { key, failure } of writes) {
      if (failure === undefined)
        assert.equal(stored.get(key), 1n, `${key} was acknowledged and is there once`);
      else assert.match(failure.rawMessage, UNKNOWN_OR_REFUSED, key);
    }
    for (const [key, version] of stored) assert.equal(version, 1n, `${key} was written once`);
    assert.deepEqual(
      seen.keys.toSorted(),
      [...stored.keys()].toSorted(),
      'the watch lost and repeated nothing',
    );
    for (const ending of seen.endings) assert.equal(ending.code, Code.Unavailable, String(ending));
  } finally {
    await proxy.stop();
  }
});

/** How a write may fail while members die: of unknown fate by the proxy, or refused by etcd without a leader. */
const UNKNOWN_OR_REFUSED = /may or may not have taken effect|^etcdserver: /;

async function storedKeys(cluster: EtcdCluster): Promise<Map<string, bigint>> {
  const { kv } = connectTo(cluster.first.url);
  const { kvs } = await kv.range({ key: bytes('w/'), rangeEnd: bytes('w0') });
  return new Map(kvs.map((pair) => [new TextDecoder().decode(pair.key), pair.version]));
}

/** What a call fails with. On a busy machine its own deadline may come first now and then, and says nothing. */
async function told(call: () => Promise<unknown>): Promise<ConnectError> {
  for (let tries = 1; ; tries++) {
    const failure = await call().then(
      () => assert.fail('answered without etcd'),
      (error: unknown) => ConnectError.from(error),
    );
    if (failure.code !== Code.DeadlineExceeded || tries === 10) return failure;
  }
}

test('all endpoints down: UNAVAILABLE within the deadline, recovery by itself', async () => {
  await using cluster = await startEtcd();
  const proxy = await startProxy({ endpoints: cluster.endpoints });
  try {
    const { kv, watch } = connectTo(proxy.url);
    await kv.put({ key: bytes('k'), value: bytes('v') });
    await cluster.first.kill('SIGKILL');
    for (const timeoutMs of [300, 1000, 5000]) {
      for (const call of [
        () => kv.range({ key: bytes('k') }, { timeoutMs }),
        () => kv.put({ key: bytes('k') }, { timeoutMs }),
      ]) {
        const failure = await told(call);
        assert.equal(failure.code, Code.Unavailable, String(failure));
        assert.match(failure.rawMessage, /no connection to etcd: .*(ECONNREFUSED|ECONNRESET|closed)/);
      }
    }
    const stream = watch.watch(oneRequest(), { timeoutMs: 10_000 });
    const ended = await stream[Symbol.asyncIterator]()
      .next()
      .catch((error: unknown) => ConnectError.from(error));
    assert.ok(ended instanceof ConnectError && ended.code === Code.Unavailable, String(ended));

    await cluster.first.start();
    await cluster.first.waitHealthy();
    let refusal = '';
    const answered = async (): Promise<boolean> => {
      const answer = await kv.range({ key: bytes('k') }).catch((error: unknown) => ConnectError.from(error));
      if (!(answer instanceof ConnectError)) return true;
      refusal = answer.message;
      return false;
    };
    await until(() => `an answer instead of ${refusal}`, answered);
  } finally {
    await proxy.stop();
  }
});

async function* oneRequest() {
  yield { requestUnion: { case: 'createRequest' as const, value: { key: bytes('k') } } };
}

test('an endpoint that hangs is left for another one', async () => {
  await using cluster = await startEtcd({ members: 3 });
  const flags = ['--dial-keepalive-timeout=1s'];
  const proxy = await startProxy({ endpoints: cluster.endpoints, flags });
  const { kv } = connectTo(proxy.url);
  await kv.put({ key: bytes('k'), value: bytes('v') });
  await proxy.process.waitForLine(/"connected to etcd"/, 30_000);
  const member = memberInUse(cluster, proxy);
  member.pause();
  try {
    const { kvs } = await kv.range({ key: bytes('k') });
    assert.deepEqual(kvs[0]?.value, bytes('v'));
    await until('the log names another endpoint', () => memberInUse(cluster, proxy) !== member);
  } finally {
    member.resume();
    await proxy.stop();
  }
});
