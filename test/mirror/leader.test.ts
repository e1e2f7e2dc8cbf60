/** Watches and reads that demand a leader ride on mirrors as others do; without a leader they are refused, and only they. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { etcdMetric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { fallBacks, hits, PREFIX, PREFIX_END, RANGE, rangeRequest, TXN, untilServing } from './support.ts';

const WATCHES = 20;
/** On a busy machine too, reads wait until they are answered from memory. */
const FLAGS = [`--cache-prefix=${PREFIX}`, '--cache-wait=15s'];
const NO_LEADER = { code: 14, message: 'etcdserver: no leader' };
const DEMANDED = { metadata: { hasleader: 'true' } };

/** What every call of a traced client carries; no two calls carry the same. */
const traced = (i: number) => ({
  metadata: {
    hasleader: 'true',
    traceparent: `00-${i.toString(16).padStart(32, '0')}-0000000000000001-01`,
    'grpc-trace-bin': Buffer.from(`${i}`).toString('base64'),
    'x-b3-traceid': `${i}`,
    'x-request-id': `request ${i}`,
    'client-api-version': `3.${i % 8}`,
  },
});

/** A transaction that reads a key, serializable. */
function txnRequest(key: Uint8Array): Uint8Array {
  const request = { case: 'requestRange', value: { key, serializable: true } } as const;
  return toBinary(TxnRequestSchema, create(TxnRequestSchema, { success: [{ request }] }));
}

/** Reads until the answer is one from memory: what etcd takes more than a second to allow is forwarded. */
async function untilFromMemory(url: string, read: () => Promise<void>): Promise<void> {
  await until('an answer from memory', async () => {
    const before = await hits(url);
    await read();
    return (await hits(url)) - before === 1;
  });
}

const installs = await outerEtcds();

describe('a mirror and clients that demand a leader', () => {
  test('their watches are the one that the mirror has, and their reads its answers', async () => {
    await using etcd = await startEtcd();
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: FLAGS });
    using client = new RawGrpcClient(proxy.address);
    await untilServing(proxy.url);
    const calls = Array.from({ length: WATCHES }, (_, i) => new WatchCall(client, traced(i)));
    await Promise.all(
      calls.map((call, i) => call.created({ key: b(`${PREFIX}${i % 3}`), prevKv: i % 2 === 0 })),
    );
    const revision = await put(client, `${PREFIX}0`, 'for a third of them');
    for (const [i, call] of calls.entries())
      if (i % 3 === 0) assert.deepEqual(await call.revisions(1), [revision]);
    assert.equal(await etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total'), 1);

    for (let i = 0; i < WATCHES; i++) {
      const request = rangeRequest({ key: b(PREFIX), rangeEnd: b(PREFIX_END), serializable: i % 2 === 0 });
      await untilFromMemory(proxy.url, async () => {
        const { code, message } = await client.call(RANGE.path, [request], traced(i));
        assert.equal(code, 0, message);
      });
    }
    for (const call of calls) call.close();
  });

  for (const install of installs)
    test(`etcd ${install.version}: without a leader reads that demand one are refused at once, others answered`, () =>
      withoutLeader(install));
});

async function withoutLeader(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install, members: 3, heartbeatMs: 50, electionMs: 500 });
  await using proxy = await startProxy({
    endpoints: [etcd.first.address],
    flags: FLAGS,
  });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  await put(client, `${PREFIX}a`, 'there');
  await untilServing(proxy.url);
  const key = b(`${PREFIX}a`);
  const reads = [
    [RANGE.path, rangeRequest({ key, serializable: true })],
    [RANGE.path, rangeRequest({ key })],
    [TXN.path, txnRequest(key)],
  ] as const;
  const ask = async (by: RawGrpcClient, options = {}, [path, request] = reads[0]) => {
    const { code, message } = await by.call(path, [request], options);
    return { code, message };
  };
  const answered = { code: 0, message: '' };
  // A leader that stood still for a moment is another one soon.
  await until('a leader', async () => (await ask(client, DEMANDED)).code === 0);
  await Promise.all([etcd.member(1).kill(), etcd.member(2).kill()]);
  // The proxied reads that are answered meanwhile keep etcd's yes to this client fresh.
  await until('etcd to refuse', async () => {
    const straight = await ask(direct, DEMANDED);
    const proxied = await ask(client, DEMANDED);
    if (straight.code !== 0) assert.deepEqual(proxied, NO_LEADER);
    return straight.code !== 0;
  });
  await untilFromMemory(proxy.url, async () => assert.deepEqual(await ask(client), answered));
  for (const read of reads) {
    assert.deepEqual(await ask(direct, DEMANDED, read), NO_LEADER);
    assert.deepEqual(await ask(client, DEMANDED, read), NO_LEADER);
  }
  await etcd.member(1).start();
  await until('a leader', async () => (await ask(direct, DEMANDED)).code === 0);
  await until('answers', async () => (await ask(client, DEMANDED)).code === 0);
  assert.ok((await fallBacks(proxy.url, 'failed')) > 0, 'what was refused was put to etcd');
}
