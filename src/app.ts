/**
 * START HERE. Builds every part of the proxy and joins them.
 *
 *   socket -> one port -> HTTP/2 engine -> gRPC door ---------------> services -> cluster client -> etcd
 *                    \                 \-> web door (by inject) --/
 *                     \-> HTTP/1.1 ------> web door (Fastify, Connect, gRPC-Web, health, metrics)
 */
import type { Socket } from 'node:net';
import { Registry } from '@prometheus-io/client';
import type { Config } from './config/config.ts';
import { GrpcServer } from './grpc/server.ts';
import { Http2Door } from './listen/http2-door.ts';
import { OnePort } from './listen/one-port.ts';
import { CallMetrics } from './observe/call-metrics.ts';
import type { Logger } from './observe/log.ts';
import { ProxyMetrics } from './observe/proxy-metrics.ts';
import { UpstreamMetrics } from './observe/upstream-metrics.ts';
import type { Services } from './rpc/contract.ts';
import { tooLargeForEtcd } from './rpc/status.ts';
import { browserService } from './services/browser.ts';
import { healthService } from './services/health.ts';
import { HealthProbe } from './services/probe.ts';
import { type OwnMethod, ServiceTable } from './services/services.ts';
import { Cluster } from './upstream/cluster.ts';
import { bridge } from './web/http2-bridge.ts';
import { createWebServer, type WebServer } from './web/server.ts';

export class App {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #cluster: Cluster;
  readonly #web: WebServer;
  readonly #http2: Http2Door;
  readonly #port: OnePort;

  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry, log);

    // Upstream: the one place that knows connections to etcd.
    this.#cluster = new Cluster({
      endpoints: config.get('endpoints', 'endpoints'),
      dialTimeout: config.get('duration', 'dial-timeout'),
      maxWaiting: config.get('integer', 'max-waiting-calls'),
      maxReceiveBytes: config.get('bytes', 'max-recv-bytes'),
      http2: {
        keepaliveIntervalMs: config.get('duration', 'dial-keepalive-time'),
        keepaliveTimeoutMs: config.get('duration', 'dial-keepalive-timeout'),
        permitWithoutStream: config.get('boolean', 'permit-without-stream'),
      },
      observer: new UpstreamMetrics(registry, log),
    });

    // Services: what the proxy does with each method, whichever door it came through.
    const own: OwnMethod[] = [
      ...browserService(
        (): Services => services,
        (path: string) => services.method(path),
      ),
      ...healthService(async () => (await probe.check()).health),
    ];
    const services: ServiceTable = new ServiceTable(this.#cluster, own);
    const probe = new HealthProbe(services);
    const observer = new CallMetrics(registry, services.methods(), log);

    // Doors: gRPC on the HTTP/2 engine, everything else on Fastify.
    const maxRequestBytes = config.get('bytes', 'max-send-bytes');
    const grpc = new GrpcServer({
      services,
      method: (path) => services.method(path),
      receive: { maxBytes: maxRequestBytes, tooLarge: tooLargeForEtcd },
      observer,
    });
    this.#web = createWebServer({
      services,
      method: (path) => services.method(path),
      maxRequestBytes,
      corsAllowedOrigins: config.get('list', 'cors-allowed-origins'),
      health: probe,
      metrics: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
      observer,
    });

    // Listener: the first bytes decide between the two.
    this.#http2 = new Http2Door({
      grpc,
      fallback: bridge(this.#web.app),
      settings: {
        maxConcurrentStreams: config.get('integer', 'max-concurrent-streams'),
        minPingIntervalMs: config.get('duration', 'grpc-keepalive-min-time'),
        keepaliveIntervalMs: config.get('duration', 'grpc-keepalive-interval'),
        keepaliveTimeoutMs: config.get('duration', 'grpc-keepalive-timeout'),
      },
      observer: metrics,
    });
    this.#port = new OnePort({
      firstByteTimeout: config.get('duration', 'first-byte-timeout'),
      onSilent: () => metrics.silentConnection(),
      protocols: {
        http2: (socket, head) => this.#http2.accept(socket, head),
        http1: (socket, head) => this.#acceptHttp1(socket, head),
      },
    });
  }

  /** Listens and starts connecting to etcd. Rejects when the address cannot be used. */
  async start(): Promise<void> {
    await this.#web.app.ready();
    await this.#port.listen(this.#config.get('address', 'listen-addr'));
    this.#cluster.start();
    this.#log.info({ address: this.#port.address() }, 'listening for gRPC proxy client requests');
    this.#log.info({ address: this.#port.address() }, 'started gRPC proxy');
  }

  /** Accepts nothing new, lets calls finish for at most `ms` milliseconds, then closes everything. */
  async drain(ms: number): Promise<void> {
    this.#port.close();
    await Promise.all([this.#http2.drain(ms), this.#web.drain(ms)]);
    this.close();
  }

  /** Closes everything at once. */
  close(): void {
    this.#port.close();
    this.#http2.close();
    this.#web.close();
    this.#cluster.close();
  }

  #acceptHttp1(socket: Socket, head: Buffer): void {
    socket.unshift(head);
    this.#web.http.emit('connection', socket);
  }
}
