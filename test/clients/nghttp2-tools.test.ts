/** nghttp and h2load (nghttp2) against the proxy's port: pages and gRPC, small windows, padding, many streams. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { bytes, connectTo } from '../failover/load.ts';
import { missing, run } from '../http2/support/tools.ts';
import { envelope } from '../streams/raw-stream.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { LONG } from '../support/releases.ts';

const GRPC = ['--header=content-type: application/grpc', '--header=te: trailers'];
const RANGE = '/etcdserverpb.KV/Range';

describe('tools of nghttp2', () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  let request: string;
  before(async () => {
    etcd = await startEtcd();
    proxy = await startProxy({ endpoints: etcd.endpoints });
    await connectTo(etcd.first.url).kv.put({ key: bytes('key'), value: Buffer.alloc(100_000, 'v') });
    request = join(await tempDir('nghttp2'), 'request');
    const range = create(RangeRequestSchema, { key: bytes('key') });
    await writeFile(request, envelope(toBinary(RangeRequestSchema, range)));
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  test('nghttp gets pages and a gRPC reply, padded both ways, in windows of 16 KiB', {
    skip: missing('nghttp'),
  }, async () => {
    const small = ['-b', '7', '-w', '14', '-W', '14'];
    const pages = await run('nghttp', '-m', '20', ...small, `${proxy.url}/health`);
    assert.equal(pages.split('"health":"true"').length - 1, 20, pages);
    const verbose = await run('nghttp', '-nv', ...small, '-d', request, ...GRPC, `${proxy.url}${RANGE}`);
    assert.match(verbose, /content-type: application\/grpc/);
    assert.match(verbose, /grpc-status: 0/);
  });

  for (const [name, reads, window] of [
    ['the usual windows', 2000, []],
    ['windows of 1 KiB', LONG ? 2000 : 500, ['-w', '10', '-W', '10']],
  ] as const) {
    test(`h2load: ${reads} gRPC reads of 100 kB on 4 connections, ${name}`, {
      skip: missing('h2load'),
    }, async () => {
      const load = ['-c', '4', '-m', '16', '-n', `${reads}`, ...window, '-d', request, ...GRPC];
      const output = await run('h2load', ...load, `${proxy.url}${RANGE}`);
      assert.match(output, new RegExp(`${reads} succeeded, 0 failed, 0 errored`));
      assert.match(output, new RegExp(`status codes: ${reads} 2xx`));
      const traffic = /\((\d+)\) data/.exec(output)?.[1];
      assert.ok(Number(traffic) > reads * 100_000, output);
    });
  }

  test('h2load: 5 000 requests for a page', { skip: missing('h2load') }, async () => {
    const output = await run('h2load', '-c', '8', '-m', '100', '-n', '5000', `${proxy.url}/proxy/health`);
    assert.match(output, /5000 succeeded, 0 failed, 0 errored/);
  });
});
