/** Reads that take long, through a proxy: they come, and others hardly notice. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type TxnRequest, TxnRequestSchema, TxnResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { bytes, connect, lightClientOf } from '../reads/clients.ts';
import { envelope, residentBytes } from '../streams/raw-stream.ts';
import { startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import {
  fallBacks,
  hits,
  mainThreadMs,
  outcomeOf,
  PREFIX,
  PREFIX_END,
  RANGE,
  rangeRequest,
  TXN,
  untilServing,
} from './support.ts';

/** On a busy machine too, reads wait until they are answered from memory. */
const FLAGS = [`--cache-prefix=${PREFIX}`, '--cache-wait=15s'];

/** A client that is closed at the end. */
function clientOf(address: string, held: DisposableStack) {
  const client = connect(address);
  held.defer(() => client.close());
  return client;
}

/** Fills the prefix; each transaction has 100 keys. */
async function fill(address: string, keys: number, value: (n: number) => string): Promise<void> {
  await using held = new AsyncDisposableStack();
  const client = lightClientOf(address, held);
  for (let at = 0; at < keys; at += 1600) {
    const batches = Array.from({ length: 16 }, (_, batch) => at + 100 * batch).filter((from) => from < keys);
    await Promise.all(
      batches.map((from) =>
        client.txn({
          success: Array.from({ length: Math.min(100, keys - from) }, (_, i) => {
            const put = {
              key: bytes(`${PREFIX}${String(from + i).padStart(7, '0')}`),
              value: bytes(value(from + i)),
            };
            return { request: { case: 'requestPut' as const, value: put } };
          }),
        }),
      ),
    );
  }
}

/**
 * The longest that a small read of another client takes while something goes on, and the most that the proxy's main thread
 * worked meanwhile, which is less where the machine or etcd took the time. Milliseconds.
 */
async function longestWait({ address, process: { pid } }: RunningProxy, work: Promise<unknown>) {
  using held = new DisposableStack();
  const other = clientOf(address, held);
  let [longest, worked] = [0, 0];
  let over = false;
  const end = work.finally(() => {
    over = true;
  });
  while (!over) {
    const [began, before] = [performance.now(), mainThreadMs(pid)];
    await outcomeOf(other, rangeRequest({ key: bytes('elsewhere') }));
    longest = Math.max(longest, performance.now() - began);
    worked = Math.max(worked, mainThreadMs(pid) - before);
    await sleep(10);
  }
  await end;
  return { longest, worked };
}

test('128 comparisons over 30 000 keys: etcd answers, and others hardly notice', async (t) => {
  await using etcd = await startEtcd();
  const { address } = etcd.first;
  await fill(address, 30_000, (n) => `value ${n}`);
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: FLAGS });
  await untilServing(proxy.url, PREFIX, 60_000);
  const comparison = {
    key: bytes(PREFIX),
    rangeEnd: bytes(PREFIX_END),
    ...{ result: 3, target: 3, targetUnion: { case: 'value', value: bytes('none') } },
  };
  const fields = { compare: Array.from({ length: 128 }, () => comparison) };
  const request = toBinary(TxnRequestSchema, create(TxnRequestSchema, fields as unknown as TxnRequest));
  assert.ok(request.length < 5000);
  using held = new DisposableStack();
  const client = clientOf(proxy.address, held);
  const reply = outcomeOf(client, request, TXN, [], 120_000);
  // It used to be many seconds; etcd itself may be slow to others meanwhile.
  const { longest, worked } = await longestWait(proxy, reply);
  t.diagnostic(
    `another client waited for ${longest.toFixed(0)} ms, ${worked.toFixed(0)} ms of them for the proxy`,
  );
  assert.ok(worked < 2000, `${worked} ms`);
  const message = await reply;
  assert.ok(typeof message !== 'string', String(message));
  assert.equal(fromBinary(TxnResponseSchema, message).succeeded, true);
  // On a busy machine the mirror may have been behind, which is another reason to ask etcd.
  await until('it is too much work', async () => {
    if ((await fallBacks(proxy.url, 'work')) === 1) return true;
    await outcomeOf(client, request, TXN, [], 120_000);
    return false;
  });
});

test('many lists of 30 MB at once: each comes, and memory is that of a few of them', async (t) => {
  const lists = LONG ? 60 : 24;
  await using etcd = await startEtcd();
  const { address } = etcd.first;
  await fill(address, 9000, (n) => `${n}`.padEnd(3400, 'x'));
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: FLAGS });
  await untilServing(proxy.url, PREFIX, 60_000);
  const before = residentBytes(proxy.process.pid);
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, residentBytes(proxy.process.pid));
  }, 20);
  using held = new DisposableStack();
  const client = clientOf(proxy.address, held);
  const already = await hits(proxy.url);
  const work = Promise.all(
    Array.from({ length: lists }, async (_, i) => {
      // Requests that differ share nothing.
      const request = rangeRequest({
        key: bytes(PREFIX),
        rangeEnd: bytes(PREFIX_END),
        limit: BigInt(20_000 + i),
      });
      const reply = await outcomeOf(client, request, undefined, [], 120_000);
      assert.ok(typeof reply !== 'string', String(reply));
      assert.ok(reply.length > 30_000_000);
    }),
  );
  const { longest } = await longestWait(proxy, work);
  clearInterval(timer);
  const mib = (size: number) => (size / 2 ** 20).toFixed(0);
  t.diagnostic(
    `another client waited for ${longest.toFixed(0)} ms; ${mib(before)} MiB before, ${mib(peak)} at most`,
  );
  assert.equal((await hits(proxy.url)) - already, lists);
  assert.ok(peak - before < 400 << 20, `${mib(peak - before)} MiB more`);
});

test('a client that reads none of its lists gets one made, and nobody else waits', async () => {
  await using etcd = await startEtcd();
  await fill(etcd.first.address, 9000, (n) => `${n}`.padEnd(3400, 'x'));
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: FLAGS });
  await untilServing(proxy.url, PREFIX, 60_000);
  const list = (n: number) =>
    rangeRequest({ key: bytes(PREFIX), rangeEnd: bytes(PREFIX_END), limit: BigInt(20_000 + n) });
  const already = await hits(proxy.url);
  using held = new DisposableStack();
  const silent = http2.connect(proxy.url);
  held.defer(() => silent.destroy());
  silent.on('error', () => {}); // ended by the test
  for (let n = 0; n < 100; n++) {
    const headers = {
      ':method': 'POST',
      ':path': RANGE.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    silent
      .request(headers)
      .on('error', () => {})
      .end(envelope(list(n)));
  }
  const reader = clientOf(proxy.address, held);
  await until('the first list is made', async () => (await hits(proxy.url)) > already);
  const reply = await outcomeOf(reader, list(500));
  assert.ok(typeof reply !== 'string', String(reply));
  assert.ok((await hits(proxy.url)) - already <= 4);
});
