/**
 * A load balancer of TCP connections: each new one goes to the next member. One backend can get stuck: its connections
 * stay, new ones are taken, and nothing passes.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A balancer in front of some addresses. */
export class Balancer implements AsyncDisposable {
  /** Where it listens, as `host:port`. */
  address = '';
  readonly #backends: readonly string[];
  readonly #listener: Server;
  readonly #sockets = new Map<Socket, number>();
  #turn: number;
  #stuck: number | undefined;

  private constructor(backends: readonly string[], first: number) {
    this.#backends = backends;
    this.#turn = first;
    this.#listener = createServer((client) => this.#accept(client));
  }

  /** Opens one whose first connection goes to the backend `first`. */
  static async open(backends: readonly string[], first: number): Promise<Balancer> {
    const balancer = new Balancer(backends, first);
    balancer.#listener.listen(0, '127.0.0.1');
    await once(balancer.#listener, 'listening');
    balancer.address = `127.0.0.1:${(balancer.#listener.address() as AddressInfo).port}`;
    return balancer;
  }

  #accept(client: Socket): void {
    const backend = this.#turn++ % this.#backends.length;
    const [host, port] = (this.#backends[backend] as string).split(':');
    const server = connect(Number(port), host);
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.set(socket, backend);
      socket
        .setNoDelay(true)
        .on('error', cut)
        .on('close', cut)
        .on('close', () => this.#sockets.delete(socket));
    }
    const stuck = (): boolean => backend === this.#stuck;
    client.on('data', (bytes: Buffer) => stuck() || server.write(bytes));
    server.on('data', (bytes: Buffer) => stuck() || client.write(bytes));
  }

  /** From now on nothing passes to or from a backend; its connections are past saving. */
  stick(backend: number): void {
    this.#stuck = backend;
  }

  /** Cuts what was stuck; new connections to the backend work. */
  repair(): void {
    for (const [socket, backend] of this.#sockets) if (backend === this.#stuck) socket.destroy();
    this.#stuck = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy();
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    await closed;
  }
}
