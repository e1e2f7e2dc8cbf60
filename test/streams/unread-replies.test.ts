/** A client that asks for large replies and reads none of them: what waits for it is bounded, and how long over HTTP/1.1, each by a flag. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { ErrorCode, encodeHeaders } from '../../src/http2/index.ts';
import { bytes, connectTo } from '../failover/load.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { clientOptions, metrics, series, toClients, usual } from '../tls/support.ts';
import { envelope } from './raw-stream.ts';

const VALUE_BYTES = 1 << 20;
const LIMIT_BYTES = 8 << 20;
/** So many replies are under the limit, or over it. */
const FEW = 4;
const MANY = 16;

const RANGE = encodeHeaders([
  ...[':method', 'POST', ':scheme', 'http', ':path', '/etcdserverpb.KV/Range', ':authority', 'a'],
  ...['content-type', 'application/grpc', 'te', 'trailers'],
]);

/** Reads of one key each, on streams from 1 on. Their limits differ, so that they share nothing. */
function reads(key: string, count: number): Buffer {
  const frames: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const request = create(RangeRequestSchema, { key: bytes(key), limit: BigInt(i + 1) });
    const body = envelope(toBinary(RangeRequestSchema, request));
    frames.push(raw.frame('HEADERS', raw.END_HEADERS, 2 * i + 1, RANGE));
    frames.push(raw.frame('DATA', raw.END_STREAM, 2 * i + 1, body));
  }
  return Buffer.concat(frames);
}

test('a client that reads none of its replies', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({
    endpoints: etcd.endpoints,
    flags: [`--max-queued-bytes=${LIMIT_BYTES}`],
  });
  await connectTo(etcd.first.url).kv.put({ key: bytes('big'), value: Buffer.alloc(VALUE_BYTES, 1) });
  const port = Number(proxy.address.split(':')[1]);

  // Under the limit they wait, for as long as the client likes: it gets them all when it opens its window.
  const slow = raw.rawClient(port);
  slow.send(reads('big', FEW));
  for (let answered = 0; answered < FEW; answered++) assert.ok(await slow.nextOf('HEADERS'));
  assert.ok(await slow.settled());
  slow.send(raw.frame('WINDOW_UPDATE', 0, 0, raw.u32(0x7fff0000 - 65_535)));
  for (let i = 0; i < FEW; i++) slow.send(raw.frame('WINDOW_UPDATE', 0, 2 * i + 1, raw.u32(2 * VALUE_BYTES)));
  for (let ended = 0; ended < FEW; ended++)
    assert.ok(await slow.next((f) => f.type === 'HEADERS' && (f.flags & raw.END_STREAM) !== 0));
  slow.close();

  // Over it the client counts as one that does not read.
  const greedy = raw.rawClient(port);
  greedy.send(reads('big', MANY));
  assert.equal(await greedy.goaway(), ErrorCode.ENHANCE_YOUR_CALM);
  await greedy.closed();
  assert.equal(await metric(proxy.url, 'etcd_proxy_http2_limits_total{limit="maxQueuedBytes"}'), 1);
  await connectTo(proxy.url).kv.range({ key: bytes('big') });
});

test('a client that reads none of its replies over HTTP/1.1 is closed, counted and logged; over TLS too', async () => {
  await using etcd = await startEtcd();
  await connectTo(etcd.first.url).kv.put({ key: bytes('big'), value: Buffer.alloc(VALUE_BYTES, 1) });
  const files = await usual();
  for (const secure of [false, true]) {
    await using proxy = await startProxy({
      endpoints: etcd.endpoints,
      flags: ['--client-write-timeout=1s', ...(secure ? toClients(files) : [])],
    });
    const client = secure
      ? connectTls(clientOptions(proxy.address, files.ca, files.client))
      : connect(Number(proxy.address.split(':')[1]), '127.0.0.1');
    client.on('error', () => {});
    client.pause();
    client.write('GET /kv/big HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(2 * MANY));
    const told = /"msg":"a client has reached a bound of its HTTP\/1\.1 connection"/;
    const line = await proxy.process.waitForLine(told, 60_000);
    const { limit, client: address } = JSON.parse(line) as Record<string, string>;
    assert.deepEqual([limit, address], ['writeTimeout', `127.0.0.1:${client.localPort}`]);
    const counted = 'etcd_proxy_http1_limits_total{limit="writeTimeout"}';
    assert.equal(secure ? series(await metrics(files, proxy), counted) : await metric(proxy.url, counted), 1);
    client.resume();
    await until('the end', () => client.closed);
  }
});
