/**
 * What broken and hostile gRPC requests get: an answer in gRPC's own form, for each of them, and etcd never hears
 * of it. Afterwards the proxy serves as before.
 */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Code } from '../../src/rpc/status.ts';
import { bytes, connectTo } from '../failover/load.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

const PUT = '/etcdserverpb.KV/Put';
const RANGE = '/etcdserverpb.KV/Range';
const MAX = 100_000;

interface Answer {
  readonly httpStatus: number | undefined;
  readonly code: number;
  readonly message: string;
  readonly headers: IncomingHttpHeaders;
}

interface Case {
  readonly name: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: readonly Uint8Array[];
  readonly code: number;
  readonly message: RegExp;
  readonly httpStatus?: number;
}

function put(value: Uint8Array): Uint8Array {
  return toBinary(PutRequestSchema, create(PutRequestSchema, { key: bytes('bad-input'), value }));
}

function envelope(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

const good = envelope(put(bytes('x')));
const anyKey = envelope(toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: bytes('any') })));
const bomb = gzipSync(Buffer.alloc(50 << 20));
const gzip = { 'grpc-encoding': 'gzip' };

const CASES: readonly Case[] = [
  { name: 'no message', body: [], code: Code.INTERNAL, message: /before its message was complete/ },
  {
    name: 'half an envelope',
    body: [good.subarray(0, 3)],
    code: Code.INTERNAL,
    message: /before its message/,
  },
  {
    name: 'a message cut short',
    body: [good.subarray(0, -1)],
    code: Code.INTERNAL,
    message: /before its message/,
  },
  { name: 'two messages', body: [good, good], code: Code.INTERNAL, message: /more than one message/ },
  {
    name: 'bytes after the message',
    body: [good, Buffer.from([0])],
    code: Code.INTERNAL,
    message: /before its message/,
  },
  {
    name: 'a flag that is none',
    body: [envelope(put(bytes('x')), 7)],
    code: Code.INTERNAL,
    message: /unexpected payload format 7/,
  },
  {
    name: 'a huge length prefix',
    body: [envelope(Buffer.alloc(1), 0, 0xffff_ffff)],
    code: Code.RESOURCE_EXHAUSTED,
    message: /^trying to send message larger than max \(4294967295 vs\. 100000\)$/,
  },
  {
    name: 'a message over --max-send-bytes',
    body: [envelope(put(Buffer.alloc(MAX)))],
    code: Code.RESOURCE_EXHAUSTED,
    message: /^trying to send message larger than max/,
  },
  {
    name: 'compressed without an encoding',
    body: [envelope(gzipSync(good), 1)],
    code: Code.INTERNAL,
    message: /compressed flag set/,
  },
  {
    name: 'compressed garbage',
    headers: gzip,
    body: [envelope(bytes('garbage'), 1)],
    code: Code.INTERNAL,
    message: /decompress/,
  },
  {
    name: 'a gzip bomb',
    headers: gzip,
    body: [envelope(bomb, 1)],
    code: Code.RESOURCE_EXHAUSTED,
    message: /larger than max/,
  },
  {
    name: 'an encoding that is not installed',
    headers: { 'grpc-encoding': 'snappy' },
    body: [good],
    code: Code.UNIMPLEMENTED,
    message: /Decompressor is not installed for grpc-encoding "snappy"/,
  },
  {
    name: 'a GET',
    headers: { ':method': 'GET' },
    body: [],
    code: Code.INTERNAL,
    message: /should be POST/,
    httpStatus: 405,
  },
  {
    name: 'a content type like that of gRPC',
    headers: { 'content-type': 'application/grpcx' },
    body: [good],
    code: Code.INVALID_ARGUMENT,
    message: /content-type "application\/grpcx"/,
    httpStatus: 415,
  },
  {
    name: 'a malformed deadline',
    headers: { 'grpc-timeout': 'soon' },
    body: [good],
    code: Code.INTERNAL,
    message: /malformed grpc-timeout/,
    httpStatus: 400,
  },
];

describe('bad gRPC input', () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  let session: ClientHttp2Session;

  before(async () => {
    etcd = await startEtcd();
    proxy = await startProxy({ endpoints: etcd.endpoints, flags: [`--max-send-bytes=${MAX}`] });
    session = connect(proxy.url);
  });

  after(async () => {
    session.destroy();
    await proxy.stop();
    await etcd.stop();
  });

  function send({ headers, body }: Pick<Case, 'headers' | 'body'>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const stream = session.request(
        { ':method': 'POST', ':path': PUT, 'content-type': 'application/grpc', te: 'trailers', ...headers },
        { endStream: false },
      );
      let fields: IncomingHttpHeaders = {};
      let httpStatus: number | undefined;
      stream.on('response', (response) => {
        fields = { ...fields, ...response };
        httpStatus = response[':status'];
      });
      stream.on('trailers', (trailers) => {
        fields = { ...fields, ...trailers };
      });
      stream.on('error', reject);
      stream.on('close', () => {
        const message = decodeURIComponent(String(fields['grpc-message'] ?? ''));
        resolve({ httpStatus, code: Number(fields['grpc-status'] ?? Number.NaN), message, headers: fields });
      });
      stream.resume();
      for (const part of body) stream.write(part);
      stream.end();
    });
  }

  for (const { name, code, message, httpStatus = 200, ...request } of CASES) {
    test(name, async () => {
      const answer = await send(request);
      assert.equal(answer.code, code, answer.message);
      assert.match(answer.message, message);
      assert.equal(answer.httpStatus, httpStatus);
    });
  }

  test('a deadline that has passed, however quick etcd is', async () => {
    const headers = { 'grpc-timeout': '1n' };
    for (let i = 0; i < 300; i++) {
      const { code, message } = await send({ headers, body: [good] });
      assert.deepEqual([code, message], [Code.DEADLINE_EXCEEDED, 'context deadline exceeded']);
      const read = await send({ headers: { ...headers, ':path': RANGE }, body: [anyKey] });
      assert.deepEqual([read.code, read.message], [Code.DEADLINE_EXCEEDED, 'context deadline exceeded']);
    }
  });

  test('etcd heard of none of them, and the proxy goes on', async () => {
    const { kv } = connectTo(proxy.url);
    assert.equal((await kv.range({ key: bytes('bad-input') })).count, 0n);
    const { code, message } = await send({ body: [good] });
    assert.equal(code, Code.OK, message);
    assert.equal(
      (await send({ headers: gzip, body: [envelope(gzipSync(put(bytes('z'))), 1)] })).code,
      Code.OK,
    );
    const { kvs } = await kv.range({ key: bytes('bad-input') });
    assert.deepEqual(kvs[0]?.value, bytes('z'));
    assert.ok(!proxy.process.stderr.includes('fault while serving'), proxy.process.stderr);
  });
});
