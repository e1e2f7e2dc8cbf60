/**
 * An etcd whose replies are no messages of their methods: its fault, told to web clients by code and counted, and no fault
 * of the program. Every RPC that they can call, on its own way through the services.
 */
import assert from 'node:assert/strict';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { create, type DescMethod, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { authenticate } from '../../src/clients/authenticate.ts';
import { QUIET_MS } from '../../src/observe/throttle.ts';
import { METHOD_SCHEMAS } from '../../src/web/schemas.ts';
import { metric } from '../support/metrics.ts';
import { REAL_MEMBERS, type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';

/** Bytes that are no message: a field longer than all of it, an unknown wire type, a number without end. */
const GARBAGE = [Uint8Array.of(0x0a, 0x7f, 1), Uint8Array.of(0x0f, 1), new Uint8Array(12).fill(0xff)];

/** Answers every call with garbage, streams after their first message. */
class BrokenEtcd implements AsyncDisposable {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  garbage = GARBAGE[0] as Uint8Array;

  private constructor() {
    this.#server = createServer();
    this.#server.on('session', (session) => this.#sessions.add(session));
    this.#server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => {});
      stream.once('data', () => {
        const head = Buffer.alloc(5);
        head.writeUInt32BE(this.garbage.length, 1);
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.concat([head, this.garbage]));
      });
    });
  }

  static async start(): Promise<BrokenEtcd> {
    const etcd = new BrokenEtcd();
    await new Promise<void>((resolve) => etcd.#server.listen(0, '127.0.0.1', resolve));
    return etcd;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const METHODS = METHOD_SCHEMAS.filter(
  ({ methodKind, parent }) => methodKind !== 'bidi_streaming' && parent.typeName !== 'grpc.health.v1.Health',
);

/** Calls a method with an empty request, and takes what comes before the deadline. */
async function call(
  transport: Transport,
  method: DescMethod,
  timeoutMs = 60_000,
): Promise<ConnectError | undefined> {
  const client = createClient(method.parent, transport) as unknown as Record<
    string,
    (request: object, options: object) => Promise<unknown> | AsyncIterable<unknown>
  >;
  try {
    const reply = client[method.localName]?.({}, { timeoutMs });
    if (method.methodKind === 'unary') await reply;
    else for await (const _ of reply as AsyncIterable<unknown>);
    return undefined;
  } catch (error) {
    return ConnectError.from(error);
  }
}

describe('malformed replies of etcd', () => {
  let etcd: BrokenEtcd;
  let proxy: RunningProxy;
  const began = performance.now();
  before(async () => {
    etcd = await BrokenEtcd.start();
    proxy = await startProxy({ endpoints: [etcd.address], flags: [REAL_MEMBERS] });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.[Symbol.asyncDispose]();
  });

  test('are called so where a prefix cannot be loaded', async () => {
    await using mirrored = await startProxy({ endpoints: [etcd.address], flags: ['--cache-prefix=a'] });
    etcd.garbage = GARBAGE[0] as Uint8Array;
    const line = await mirrored.process.waitForLine(/"prefix not in memory/, 20_000);
    assert.match(line, /"reason":"etcd-connect-proxy: etcd's reply is malformed/);
    assert.ok(!mirrored.process.stderr.includes('fault while serving'), mirrored.process.stderr);
  });

  test('are called so to the one who signs the proxy in', async () => {
    const unary = async (): Promise<Uint8Array> => GARBAGE[0] as Uint8Array;
    const upstream = { unary, stream: () => assert.fail() };
    await assert.rejects(authenticate(upstream, { name: 'x', password: 'y' }), {
      code: Code.Internal,
      message: "etcd-connect-proxy: etcd's reply is no etcdserverpb.AuthenticateResponse",
    });
  });

  test('of watches that are forwarded, too', async () => {
    const flags = ['--watch-coalescing=off', '--read-coalescing=off'];
    await using plain = await startProxy({ endpoints: [etcd.address], flags });
    for (const garbage of GARBAGE) {
      etcd.garbage = garbage;
      const transport = createGrpcWebTransport({ baseUrl: plain.url, httpVersion: '1.1' });
      const error = await call(transport, Browser.method.watch);
      assert.equal(error?.code, Code.Internal, error?.message ?? 'no error');
      assert.equal(error.rawMessage, "etcd-connect-proxy: etcd's reply is no etcdserverpb.WatchResponse");
    }
    assert.ok(!plain.process.stderr.includes('fault while serving'), plain.process.stderr);
  });

  const malformed = (): Promise<number> => metric(proxy.url, 'etcd_proxy_malformed_replies_total');

  test('end web calls with INTERNAL and name what is malformed', async () => {
    const base = { baseUrl: proxy.url, httpVersion: '1.1' } as const;
    const transports: Transport[] = [
      createConnectTransport({ ...base, useBinaryFormat: false }),
      createConnectTransport({ ...base, useBinaryFormat: true }),
      createGrpcWebTransport({ ...base }),
    ];
    const before = await malformed();
    let told = 0;
    for (const garbage of GARBAGE) {
      etcd.garbage = garbage;
      for (const transport of transports) {
        const calls = METHODS.map(async (method) => {
          // A watch that is resumed again and again has no end of its own.
          const limit = method === Browser.method.watch ? 1500 : undefined;
          return { method, error: await call(transport, method, limit) };
        });
        for (const { method, error } of await Promise.all(calls)) {
          const text = `${method.parent.typeName}/${method.name}: ${error?.message}`;
          if (method === Browser.method.watch) {
            // The service looks into the replies itself, and resumes a watch that was broken off.
            assert.equal(error?.code, Code.DeadlineExceeded, text);
            continue;
          }
          assert.equal(error?.code, Code.Internal, text);
          assert.equal(
            error.rawMessage,
            `etcd-connect-proxy: etcd's reply is no ${method.output.typeName}`,
            text,
          );
          told++;
        }
      }
    }
    assert.equal(await malformed(), before + told);
    assert.ok(told >= 9 * 40, String(told));
  });

  test('reach gRPC clients as they are', async () => {
    using client = new RawGrpcClient(proxy.address);
    etcd.garbage = GARBAGE[0] as Uint8Array;
    const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: Buffer.from('a') }));
    for (const path of [
      '/etcdserverpb.KV/Range',
      '/etcdserverpb.KV/Put',
      '/etcdserverpb.Auth/Authenticate',
    ]) {
      const { code, messages } = await client.call(path, [request]);
      assert.deepEqual(
        [code, messages.length, Buffer.from(messages[0] ?? []).toString('hex')],
        [0, 1, '0a7f01'],
        path,
      );
    }
  });

  test('are no fault of the program, and one line a minute in the log', () => {
    const lines = proxy.stderr.filter((line) => line.includes('malformed'));
    const atMost = 1 + Math.floor((performance.now() - began) / QUIET_MS);
    assert.ok(lines.length >= 1 && lines.length <= atMost, lines.join('\n'));
    assert.match(lines[0] ?? '', /"level":"warn"/);
    assert.ok(!proxy.process.stderr.includes('fault while serving'), proxy.process.stderr.slice(0, 3000));
  });
});
