/**
 * What is held for the requests of all gRPC clients stays within --max-request-bytes-in-flight, wherever they wait. Who
 * holds most is refused, everybody else is served.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { encodeHeaders } from '../../src/http2/index.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { until } from '../support/until.ts';
import { Hoarder } from './hoarder.ts';
import { LIMIT, MemoryScene, MIB, PUT, putOf, TOO_MUCH } from './memory-scene.ts';

const REFUSED = `8 ${TOO_MUCH}`;

async function hoarders(scene: MemoryScene, count: number): Promise<Hoarder[]> {
  const all: Hoarder[] = [];
  for (let i = 0; i < count; i++) all.push(await Hoarder.open(scene.proxy.address));
  return all;
}

/** How many requests have ended, and in which ways. */
function ended(all: readonly Hoarder[]): { count: number; ways: Set<string> } {
  const ends = all.flatMap((one) => [...one.ends]);
  return { count: ends.reduce((sum, [, n]) => sum + n, 0), ways: new Set(ends.map(([way]) => way)) };
}

function noneLost(all: readonly Hoarder[]): void {
  assert.deepEqual(
    all.map(({ lost }) => lost),
    all.map(() => undefined),
  );
}

describe('the sum of what is held for requests', () => {
  for (const connections of [1, 20]) {
    test(`5 000 streams on ${connections} connections that each begin 60 MiB`, async (t) => {
      await using scene = await MemoryScene.begin();
      const message = putOf(60 * MIB);
      const all = await hoarders(scene, connections);
      for (let i = 0; i < 5000; i++) (all[i % connections] as Hoarder).begin(PUT, [message], false);
      await until('requests are refused', async () => (await scene.refused()) > 50);
      await scene.bounded();
      await scene.served(100);
      noneLost(all);
      assert.deepEqual([...ended(all).ways], [REFUSED]);
      for (const one of all) one[Symbol.dispose]();
      await scene.settled(t);
    });
  }

  test('whole requests that wait while etcd reads nothing', async (t) => {
    await using scene = await MemoryScene.begin();
    scene.etcd.first.pause();
    const message = putOf(300_000);
    const all = await hoarders(scene, 40);
    for (let i = 0; i < 2000; i++) (all[i % 40] as Hoarder).begin(PUT, [message], true);
    await scene.crowded();
    scene.etcd.first.resume();
    await scene.served(20);
    await until('all requests have ended', () => ended(all).count === 2000);
    noneLost(all);
    const { ways } = ended(all);
    ways.delete(REFUSED);
    assert.deepEqual([...ways], ['0']);
    for (const one of all) one[Symbol.dispose]();
    await scene.settled(t);
  });

  test('requests that wait for a connection', async (t) => {
    await using scene = await MemoryScene.begin(['--dial-timeout=20s']);
    await scene.etcd.first.kill();
    const all = await hoarders(scene, 1);
    const message = putOf(1_000_000);
    for (let i = 0; i < 600; i++) all[0]?.begin(PUT, [message], true);
    await scene.crowded();
    await scene.etcd.first.start();
    await scene.served(20);
    noneLost(all);
    for (const one of all) one[Symbol.dispose]();
    await scene.settled(t);
  });

  test('messages on streams that etcd does not read', async (t) => {
    await using scene = await MemoryScene.begin(['--watch-coalescing=off']);
    scene.etcd.first.pause();
    const value = { key: Buffer.alloc(60_000, 7) };
    const request = create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value } });
    const messages = new Array<Uint8Array>(8).fill(toBinary(WatchRequestSchema, request));
    const all = await hoarders(scene, 10);
    for (let i = 0; i < 3000; i++)
      (all[i % 10] as Hoarder).begin('/etcdserverpb.Watch/Watch', messages, false);
    await scene.crowded();
    scene.etcd.first.resume();
    await scene.served(20);
    noneLost(all);
    for (const one of all) one[Symbol.dispose]();
    await scene.settled(t);
  });

  test('compressed messages that are small until they are unpacked', async (t) => {
    await using scene = await MemoryScene.begin();
    scene.etcd.first.pause();
    const packed = gzipSync(putOf(20 * MIB));
    const head = Buffer.alloc(5);
    head[0] = 1;
    head.writeUInt32BE(packed.length, 1);
    const body = Buffer.concat([head, packed]);
    const session = connect(scene.proxy.url);
    const statuses = Array.from({ length: 40 }, () => grpcStatus(session, body));
    await until('requests are refused', async () => (await scene.refused()) > 0);
    assert.ok((await scene.held()) <= LIMIT + 21 * MIB);
    scene.etcd.first.resume();
    // etcd itself takes no message of this size either.
    assert.deepEqual([...new Set(await Promise.all(statuses))], ['8']);
    session.destroy();
    await scene.settled(t);
  });

  test('field blocks that are never complete', async (t) => {
    await using scene = await MemoryScene.begin();
    const fields = Array.from({ length: 30 }, (_, i) => [`x-${i}`, 'x'.repeat(30_000)]).flat();
    const block = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', PUT, ...fields]);
    const first = raw.frame('HEADERS', 0, 1, block.subarray(0, 16_384));
    const more: Buffer[] = [];
    for (let at = 16_384; at + 16_384 < block.length; at += 16_384)
      more.push(raw.frame('CONTINUATION', 0, 1, block.subarray(at, at + 16_384)));
    const bytes = Buffer.concat([raw.MAGIC, raw.settings(), first, ...more]);
    let cut = 0;
    const sockets = Array.from({ length: 200 }, () => {
      const socket = connectSocket(Number(scene.proxy.address.split(':')[1]), '127.0.0.1', () =>
        socket.write(bytes),
      );
      socket.on('error', () => {});
      socket.on('close', () => cut++);
      socket.resume();
      return socket;
    });
    await until('connections are cut', () => cut > 50);
    await scene.served(20);
    assert.ok((await scene.held()) <= LIMIT + MIB);
    assert.ok(cut < 200, 'not all of them');
    for (const socket of sockets) socket.destroy();
    await scene.settled(t);
  });
});

/** Sends a put and gives its status. */
function grpcStatus(session: ReturnType<typeof connect>, body: Buffer): Promise<string> {
  const stream = session.request({
    ':method': 'POST',
    ':path': PUT,
    'content-type': 'application/grpc',
    'grpc-encoding': 'gzip',
    te: 'trailers',
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const note = (fields: Record<string, unknown>): void => {
    if (fields['grpc-status'] !== undefined) resolve(String(fields['grpc-status']));
  };
  stream.on('response', note).on('trailers', note).on('error', reject);
  stream.on('close', () => resolve(`closed with ${stream.rstCode}`));
  stream.resume();
  stream.end(body);
  return promise;
}
