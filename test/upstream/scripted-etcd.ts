/**
 * A member of etcd as far as the pool can see: it takes gRPC calls on a real socket and answers, refuses or keeps silent
 * as the test says. For states that real members are in only for moments, and for counting what reaches them.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FixedEndpoints } from '../../src/endpoints/fixed-endpoints.ts';
import { ETCD_METHODS, unknownMethod } from '../../src/etcd/methods.ts';
import { GrpcServer } from '../../src/grpc/server.ts';
import type { Http2Settings } from '../../src/http2/index.ts';
import { Http2Connections } from '../../src/listen/http2-connections.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { noteClient } from '../../src/rpc/client.ts';
import type { Call, ServerStream } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import type { Method } from '../../src/rpc/method.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { SwitchReason } from '../../src/upstream/choice-owner.ts';
import { ClusterClient, type ClusterOptions } from '../../src/upstream/cluster-client.ts';
import { PingIntervals } from '../../src/upstream/ping-intervals.ts';
import { ignore, UNOBSERVED } from '../grpc/grpc-door.ts';

const METHODS = new Map(ETCD_METHODS.map((method) => [method.path, method]));

/** The method of a service of etcd's API. */
export function method(path: string): Method {
  return METHODS.get(path) ?? unknownMethod(path);
}

/** What a member does with a call: answers, refuses, or never says anything. */
export type Act = 'serve' | 'silence' | RpcError;

/** A call that reached a member. */
export interface SeenCall {
  readonly path: string;
  /** The connection that it came on. */
  readonly connection: string;
  readonly hasLeader: boolean;
  /** Whether it came with a deadline that the member would enforce. */
  readonly limited: boolean;
  cancelled: boolean;
}

export class ScriptedEtcd implements AsyncDisposable {
  /** `host:port`. */
  address = '';
  /** What becomes of calls of the proxy's clients. */
  calls: Act = 'serve';
  /** What becomes of the question whether the member serves, which alone demands a leader here. */
  question: Act = 'serve';
  /** So long the answer to the question takes. Milliseconds. */
  questionMs = 0;
  /** Called when it answers or refuses, before that is sent. */
  onAnswering: (isQuestion: boolean) => void = ignore;
  /** The revision in its replies. */
  revision = 5;
  readonly seen: SeenCall[] = [];
  /** Messages of streams, and the streams to answer on. */
  readonly messages: { readonly path: string; readonly connection: string; readonly stream: ServerStream }[] =
    [];
  /** On these connections nothing is answered. */
  readonly deaf = new Set<string>();
  /** The stream on which its health is watched. */
  health: ServerStream | undefined;
  connections = 0;
  readonly #sockets = new Map<string, Socket>();
  readonly #cluster: number;
  readonly #server: Server;
  readonly #http2: Http2Connections;

  private constructor(cluster: number, settings: Partial<Http2Settings>) {
    this.#cluster = cluster;
    const grpc = new GrpcServer({
      services: {
        method,
        unary: (path) => (method(path).kind === 'unary' ? (_, call) => this.#unary(path, call) : undefined),
        stream: (path) => (stream, call) => {
          stream.listener = {
            onMessage: () => {
              if (path.startsWith('/grpc.health.')) this.health = stream;
              else this.messages.push({ path, connection: call.client.address, stream });
            },
            onHalfClose: ignore,
            onDrain: ignore,
            onCancel: ignore,
          };
        },
      },
      receive: { maxBytes: 1 << 20, tooLarge: () => 'too large' },
      observer: UNOBSERVED,
    });
    this.#http2 = new Http2Connections({
      grpc,
      fallback: ignore,
      accounts: new Ledger(1 << 30),
      settings,
      observer: { onHttp2Opened: ignore, onHttp2Closed: ignore, onHttp2Limit: ignore, onFault: ignore },
    });
    this.#server = createServer((socket) => {
      this.connections++;
      const address = `${socket.remoteAddress}:${socket.remotePort}`;
      this.#sockets.set(address, socket);
      noteClient(socket, {
        address,
        listener: '',
        local: '',
        namespace: '',
        certificate: undefined,
        commonName: undefined,
      });
      socket.on('close', () => {
        this.connections--;
        this.#sockets.delete(address);
      });
      this.#http2.accept(socket, Buffer.alloc(0));
    });
  }

  /** Starts a member of a cluster with this number, on whose connections so many streams may be open. */
  static async start(
    cluster = 7,
    maxConcurrentStreams = 1000,
    address = '',
    settings: Partial<Http2Settings> = {},
  ): Promise<ScriptedEtcd> {
    const etcd = new ScriptedEtcd(cluster, { maxConcurrentStreams, ...settings });
    etcd.address = address;
    await etcd.listen();
    return etcd;
  }

  /** Listens, on the port it had before if it had one. */
  async listen(): Promise<void> {
    this.#server.listen(Number(this.address.split(':')[1] ?? 0), '127.0.0.1');
    await once(this.#server, 'listening');
    this.address = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many calls of a method reached it, questions not counted. */
  count(path: string): number {
    return this.seen.filter((call) => call.path === path && !call.hasLeader).length;
  }

  /** Says on all connections that it goes away; what is under way is still answered. */
  goAway(): void {
    void this.#http2.drain(60_000);
  }

  /** Ends one connection. */
  cut(connection: string): void {
    this.#sockets.get(connection)?.destroy();
  }

  #unary(path: string, call: Call): Uint8Array | Promise<Uint8Array> {
    const hasLeader = call.metadata.get('hasleader') !== undefined;
    const limited = call.deadline !== Number.POSITIVE_INFINITY;
    const connection = call.client.address;
    const seen: SeenCall = { path, connection, hasLeader, limited, cancelled: false };
    this.seen.push(seen);
    const act = this.deaf.has(connection) ? 'silence' : hasLeader ? this.question : this.calls;
    if (act instanceof RpcError) {
      this.onAnswering(hasLeader);
      throw act;
    }
    if (act === 'serve' && hasLeader && this.questionMs > 0)
      return sleep(this.questionMs).then(() => this.reply());
    if (act === 'serve') {
      this.onAnswering(hasLeader);
      return this.reply();
    }
    return new Promise(() => {
      call.work = {
        cancel: () => {
          seen.cancelled = true;
        },
      };
    });
  }

  /** A reply with a header. */
  reply(): Uint8Array {
    return Buffer.of(0x0a, 6, 0x08, this.#cluster, 0x10, 1, 0x18, this.revision);
  }

  /** Ends all connections and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#http2.close();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

/** What the observer of a cluster heard. */
export interface Heard {
  readonly switches: SwitchReason[];
  asked: string[];
  connected: string[];
  /** Why connections were lost. */
  readonly lost: string[];
  dialFailures: string[];
}

/** The usual options of a client of these members, and what it reports. */
export function clientOptions(members: readonly Pick<ScriptedEtcd, 'address'>[]): {
  options: ClusterOptions;
  heard: Heard;
} {
  const heard: Heard = { switches: [], asked: [], connected: [], lost: [], dialFailures: [] };
  const options: ClusterOptions = {
    source: new FixedEndpoints(members.map(({ address }) => parseEndpoint(address))),
    dialTimeout: 2000,
    maxWaiting: 1000,
    maxConnections: 8,
    maxReceiveBytes: 1 << 20,
    http2: {},
    pings: new PingIntervals(0),
    tls: {
      connect: () => {
        throw new RpcError(Code.INTERNAL, 'no TLS here');
      },
    },
    observer: {
      onAnswered: ignore,
      onRetried: ignore,
      onConnected: ({ name }) => heard.connected.push(name),
      onLost: (_endpoint, cause) => heard.lost.push(cause),
      onClosed: ignore,
      onSwitched: (_from, _to, reason) => heard.switches.push(reason),
      onAsked: (verdict) => heard.asked.push(verdict),
      onDialFailed: (cause) => heard.dialFailures.push(cause),
      onWaitingFull: ignore,
      onNoStream: ignore,
      onLimit: ignore,
      onFault: (error) => {
        throw error;
      },
    },
  };
  return { options, heard };
}

/** A cluster client of these members, and what it reports. @param given options other than the usual ones */
export function connectTo(
  members: readonly Pick<ScriptedEtcd, 'address'>[],
  given: Partial<ClusterOptions> = {},
): { cluster: ClusterClient; heard: Heard } {
  const { options, heard } = clientOptions(members);
  const cluster = new ClusterClient({ ...options, ...given });
  cluster.start();
  return { cluster, heard };
}
