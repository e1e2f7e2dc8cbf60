/** A TCP relay in front of a server, whose connections a test can cut, as a failing network would. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class CutRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** `host:port` that new connections go to. */
  target: string;

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.target = target;
  }

  /** Starts one in front of `host:port`. */
  static async start(target: string): Promise<CutRelay> {
    const server = createServer();
    const relay = new CutRelay(server, target);
    server.on('connection', (near) => {
      const [host, port] = relay.target.split(':') as [string, string];
      const far = connect({ host, port: Number(port), noDelay: true });
      near.setNoDelay(true);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        relay.#sockets.add(from);
        from.pipe(to);
        from.on('error', () => {}); // what follows is its close
        from.on('close', () => {
          relay.#sockets.delete(from);
          to.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  /** Where it listens. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection. New ones are taken. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
