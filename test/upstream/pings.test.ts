/**
 * Pings to etcd, with intervals short enough for a test: against servers of the engine that count pings as gRPC's do,
 * and against every release of etcd.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FixedEndpoints } from '../../src/endpoints/fixed-endpoints.ts';
import { KV, unknownMethod, Watch } from '../../src/etcd/methods.ts';
import { ErrorCode, encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import type { ClientStream } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { PingIntervals } from '../../src/upstream/ping-intervals.ts';
import { EngineServer, Exchange, field } from '../http2/support/exchange.ts';
import { availableEtcds, type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { etcdMetric, streamsInProgress } from '../support/metrics.ts';
import { until } from '../support/until.ts';

const HEADERS = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const TRAILERS = encodeHeaders(['grpc-status', '0']);
const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const CALL = '/some.Service/Call';
const MINUTE = 60_000;

const ignore = (): void => {};

/** The proxy's client of one endpoint, and what it tells of its connections. */
class Client implements Disposable {
  readonly lost: string[] = [];
  readonly cluster: ClusterClient;
  connects = 0;

  constructor(address: string, intervalMs: number, permitWithoutStream = false, keepaliveTimeoutMs = 20_000) {
    this.cluster = new ClusterClient({
      source: new FixedEndpoints([parseEndpoint(address)]),
      dialTimeout: 5000,
      maxWaiting: 10,
      maxConnections: 8,
      maxReceiveBytes: 1000,
      http2: { permitWithoutStream, keepaliveTimeoutMs },
      pings: new PingIntervals(intervalMs, 1),
      tls: { connect: () => assert.fail('no TLS here') },
      observer: {
        onAnswered: ignore,
        onRetried: ignore,
        onConnected: () => this.connects++,
        onLost: (_endpoint, cause) => this.lost.push(cause),
        onClosed: ignore,
        onSwitched: ignore,
        onAsked: ignore,
        onDialFailed: ignore,
        onWaitingFull: ignore,
        onNoStream: ignore,
        onLimit: ignore,
        onFault: (error) => assert.fail(String(error)),
      },
    });
    this.cluster.start();
  }

  /** A call that stays open until etcd ends it; its status then. */
  open(method = unknownMethod(CALL)): Promise<number> {
    return new Promise((resolve) => void this.stream(method, resolve));
  }

  /** A call that stays open. @param ended hears its status */
  stream(method: Method, ended: (code: number) => void = ignore): ClientStream {
    const call = new OwnCall(method, NO_METADATA, Number.POSITIVE_INFINITY);
    const onEnd = ({ code }: { code: number }): void => ended(code);
    return this.cluster.stream(call, { onHeaders: ignore, onMessage: ignore, onDrain: ignore, onEnd });
  }

  /** Reads. */
  read(): Promise<Uint8Array> {
    const call = new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY);
    return this.cluster.unary(new Uint8Array(0), call);
  }

  [Symbol.dispose](): void {
    this.cluster.close();
  }
}

/** A server that tolerates a ping a minute, or as often as it is told. It notes its streams, by path, and answers some. */
class Server extends EngineServer {
  readonly seen = new Map<string, Http2Stream[]>();

  constructor(answered: readonly string[], minPingIntervalMs = MINUTE) {
    super(
      (stream) => {
        const path = field(stream.headers, ':path') ?? '';
        stream.listener = new Exchange();
        this.seen.set(path, [...(this.seen.get(path) ?? []), stream]);
        if (answered.includes(path)) stream.sendReply(HEADERS, Buffer.alloc(5), TRAILERS);
      },
      { minPingIntervalMs },
    );
  }

  streams(path: string): Http2Stream[] {
    return this.seen.get(path) ?? [];
  }
}

describe('a server that counts pings', () => {
  test('is asked a question beside those that it would count, and has none to complain of', async () => {
    await using server = new Server([CHECK]);
    using client = new Client(`127.0.0.1:${await server.listen()}`, 20);
    void client.open();
    await until('the call', () => server.streams(CALL).length > 0);
    const asked = server.streams(CHECK).length;
    await until('ten quiet pings, and as many others', () => server.streams(CHECK).length >= asked + 10);
    assert.deepEqual(client.lost, []);
    assert.equal(server.streams(CALL)[0]?.closed, false);
    assert.equal(server.streams(WATCH).length, 0, 'there is a stream');
  });

  test('and answers no questions: the interval doubles with each complaint, which is in the log', async () => {
    await using server = new Server([KV.Range.path]);
    using client = new Client(`127.0.0.1:${await server.listen()}`, 10);
    for (let round = 1; round <= 4; round++) {
      assert.equal(await client.open(), 14);
      assert.equal(client.lost.length, round);
    }
    const seconds = [0.02, 0.04, 0.08, 0.16];
    assert.deepEqual(
      client.lost,
      seconds.map(
        (s) =>
          `etcd is closing the connection: ENHANCE_YOUR_CALM "too_many_pings"; pings every ${s} s from now on`,
      ),
    );
    assert.ok(server.streams(CHECK).length <= 4, 'one question at a time');
  });

  test('is not pinged without a call unless asked for', async () => {
    await using server = new Server([CHECK, KV.Range.path]);
    using client = new Client(`127.0.0.1:${await server.listen()}`, 5);
    await until('the connection', () => client.connects === 1);
    await new Promise((resolve) => setTimeout(resolve, 100)); // nothing may happen
    assert.deepEqual([...server.seen.keys()], [KV.Range.path], 'the question whether it serves');
    assert.deepEqual(client.lost, []);
  });

  test('with pings without a call: a stream is held open, and opened again when it ends', async () => {
    await using server = new Server([CHECK]);
    using client = new Client(`127.0.0.1:${await server.listen()}`, 20, true);
    await until('the stream', () => server.streams(WATCH).length === 1);
    await until('pings', () => server.streams(CHECK).length >= 5);
    assert.equal(server.streams(WATCH).length, 1);
    server.streams(WATCH)[0]?.sendReply(HEADERS, Buffer.alloc(5), TRAILERS);
    await until('another stream', () => server.streams(WATCH).length === 2);
    await until('pings', () => server.streams(CHECK).length >= 10);
    assert.deepEqual([client.lost, client.connects], [[], 1]);
  });

  test('on a connection without a call: as long as another one has calls', async () => {
    await using server = new Server([CHECK, KV.Range.path]);
    using client = new Client(`127.0.0.1:${await server.listen()}`, 20);
    const watch = client.stream(Watch.Watch);
    await until('a connection apart', async () => {
      await client.read();
      return client.connects === 2;
    });
    await until('the stream of ours', () => server.streams(WATCH).length === 1);
    const quiet = server.streams(WATCH)[0]?.connection;
    assert.notEqual(quiet, server.streams(Watch.Watch.path)[0]?.connection);
    const questions = (): number =>
      server.streams(CHECK).filter(({ connection }) => connection === quiet).length;
    await until('pings', () => questions() >= 5);
    watch.cancel();
    const before = questions();
    await new Promise((resolve) => setTimeout(resolve, 200)); // nothing may happen
    assert.ok(questions() <= before + 1, 'one may have been under way');
    assert.deepEqual(client.lost, []);
  });

  test('and serves no health checks: it answers that, which is as good', async () => {
    await using server = new Server([CHECK, WATCH]);
    using client = new Client(`127.0.0.1:${await server.listen()}`, 20, true);
    await until('pings', () => server.streams(WATCH).length >= 10);
    assert.deepEqual([client.lost, client.connects], [[], 1]);
  });
});

test('GOAWAY without an error: calls under way end there, streams of ours hold nothing up', async () => {
  await using server = new Server([CHECK], 100);
  using client = new Client(`127.0.0.1:${await server.listen()}`, 20, true);
  await until('the stream of ours', () => server.streams(WATCH).length === 1);
  const call = client.open();
  await until('the call', () => server.streams(CALL).length === 1);
  server.connections[0]?.drain();
  await until('a new connection with a stream of ours', () => server.streams(WATCH).length === 2);
  const { length } = server.streams(CHECK);
  await until('twenty intervals', () => server.streams(CHECK).length >= length + 10);
  assert.equal(server.connections[0]?.closed, false, 'few pings while the call is quiet');
  server.streams(CALL)[0]?.sendReply(HEADERS, Buffer.alloc(5), TRAILERS);
  assert.equal(await call, 0);
  await until('the end of the first connection', () => server.owners[0]?.closes === 1);
  server.connections[1]?.drain();
  await until('the end of the second one', () => server.owners[1]?.closes === 1);
  await until('the client has noticed both', () => client.lost.length >= 2);
  assert.deepEqual(client.lost, Array(2).fill('etcd is closing the connection: NO_ERROR'));
});

test('what etcd says when it goes is in the log, in letters and not at any length', async () => {
  await using server = new Server([CHECK]);
  using client = new Client(`127.0.0.1:${await server.listen()}`, 20);
  for (const debug of ['max_age', '', 'a\n\u001b[31m\u00e9 "quoted"', 'x'.repeat(1000)]) {
    const { length } = client.lost;
    await until('a connection', () => client.connects > length);
    server.connections.at(-1)?.destroy(ErrorCode.INTERNAL_ERROR, debug);
    await until('its loss', () => client.lost.length > length);
  }
  const said = 'etcd is closing the connection: INTERNAL_ERROR';
  assert.deepEqual(client.lost, [
    `${said} "max_age"`,
    said,
    `${said} "a??[31m?? "quoted""`,
    `${said} "${'x'.repeat(200)}"...`,
  ]);
});

describe('intervals', () => {
  const [one, other] = [parseEndpoint('one:1'), parseEndpoint('other:1')];

  test('are never shorter than ten seconds, and off stays off', () => {
    assert.deepEqual(
      [0, 0.001, 2000, 10_000, 30_000].map((wanted) => new PingIntervals(wanted).initial),
      [0, 10_000, 10_000, 10_000, 30_000],
    );
  });

  test('double by endpoint, once for all connections that had them, up to two hours', () => {
    const intervals = new PingIntervals(10_000);
    assert.equal(intervals.tooMany(one, 10_000), 20_000);
    assert.equal(intervals.tooMany(one, 10_000), 20_000);
    assert.equal(intervals.tooMany(one, 20_000), 40_000);
    assert.equal(intervals.tooMany(one, 10_000), 40_000);
    assert.deepEqual([intervals.of(one), intervals.of(other)], [40_000, 10_000]);
    for (let i = 0; i < 20; i++) intervals.tooMany(one, intervals.of(one));
    assert.equal(intervals.of(one), 7_200_000);
    const rare = new PingIntervals(10_000_000);
    assert.equal(rare.tooMany(one, 10_000_000), 10_000_000);
  });
});

async function enableAuth(etcd: EtcdCluster): Promise<void> {
  for (const args of [
    ['user', 'add', 'root:root'],
    ['user', 'grant-role', 'root', 'root'],
    ['auth', 'enable'],
  ])
    await etcd.etcdctl(args);
}

for (const install of await availableEtcds())
  describe(`etcd ${install.version} that wants a minute between pings`, () => {
    for (const permitWithoutStream of [false, true])
      test(`${permitWithoutStream ? 'no call' : 'a watch'}, auth on: no connection is lost`, async () => {
        await using etcd = await startEtcd({ install, args: ['--grpc-keepalive-min-time=1m'] });
        await enableAuth(etcd);
        using client = new Client(etcd.first.address, 50, permitWithoutStream);
        if (!permitWithoutStream) void client.open(Watch.Watch);
        const checks =
          'grpc_server_handled_total{grpc_code="OK",grpc_method="Check",grpc_service="grpc.health.v1.Health",grpc_type="unary"}';
        await until('five quiet pings', async () => {
          const seen = await etcdMetric(etcd.first.metricsUrl, checks).catch(() => 0);
          return seen >= 5 || client.lost.length > 0;
        });
        assert.deepEqual([client.lost, client.connects], [[], permitWithoutStream ? 1 : 2]);
      });
  });

test('with pings without a call, an etcd that hangs is noticed, and one that stops is left', async () => {
  await using etcd = await startEtcd();
  using client = new Client(etcd.first.address, 100, true, 1200);
  await until('the connection', () => client.connects === client.lost.length + 1);
  const { connects } = client;
  etcd.first.pause();
  await until('its loss', () => client.lost.length === connects);
  assert.match(client.lost.at(-1) ?? '', /keepaliveTimeoutMs/);
  etcd.first.resume();
  await until('a new connection', () => client.connects > connects);
  await until(
    'the stream of ours',
    async () => (await streamsInProgress(etcd.first.metricsUrl, 'Watch')) > 0,
  );
  const { length } = client.lost;
  const stopped = etcd.first.stop();
  await until('the next loss', () => client.lost.length > length);
  assert.match(client.lost.at(-1) ?? '', /closing the connection: NO_ERROR/);
  await stopped;
});
