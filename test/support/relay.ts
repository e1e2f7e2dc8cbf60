/**
 * A wire between a client and a server that a test can make slow, stop, and cut: TCP bytes passed on as they are,
 * from a port of its own.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** How a relay treats what passes through it. */
export interface RelayOptions {
  /** How much later bytes of the server arrive at the client, in milliseconds. */
  readonly delayMs?: number;
  /** The same for bytes of the client on their way to the server. */
  readonly requestDelayMs?: number;
  /** Listens in on each connection. */
  readonly tap?: () => WireTap;
  /** Where it listens; a free port of 127.0.0.1 by default. */
  readonly listen?: { readonly host: string; readonly port: number };
}

/** Hears what a relay passes on. */
export interface WireTap {
  fromClient(bytes: Buffer): void;
  fromServer(bytes: Buffer): void;
  closed(): void;
}

/** One connection through the relay. */
class Wire {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #delayMs: number;
  readonly #tap: WireTap | undefined;
  #held: Buffer[] | undefined;

  constructor(
    client: Socket,
    target: { host: string; port: number },
    { delayMs = 0, requestDelayMs = 0, tap }: RelayOptions,
    held: boolean,
  ) {
    this.#client = client;
    this.#tap = tap?.();
    this.#server = connect(target);
    this.#delayMs = delayMs;
    this.#held = held ? [] : undefined;
    for (const socket of [client, this.#server]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.cut()); // a reset of one side is passed on to the other
      socket.on('close', () => this.cut());
    }
    client.on('close', () => this.#tap?.closed());
    client.on('data', (bytes: Buffer) => {
      this.#tap?.fromClient(bytes);
      if (requestDelayMs === 0) this.#server.write(bytes);
      else setTimeout(() => this.#server.write(bytes), requestDelayMs);
    });
    this.#server.on('data', (bytes: Buffer) => {
      if (this.#delayMs === 0) this.#arrive(bytes);
      else setTimeout(() => this.#arrive(bytes), this.#delayMs);
    });
  }

  #arrive(bytes: Buffer): void {
    if (this.#held !== undefined) this.#held.push(bytes);
    else if (!this.#client.destroyed) {
      this.#tap?.fromServer(bytes);
      this.#client.write(bytes);
    }
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const bytes of held) this.#arrive(bytes);
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
  }
}

/** A relay to one server. */
export class Relay implements AsyncDisposable {
  /** Where it listens, as `host:port`. */
  address = '';
  readonly #target: { host: string; port: number };
  readonly #options: RelayOptions;
  readonly #wires = new Set<Wire>();
  readonly #listener: Server;
  #held = false;
  #refuses = false;
  #asked = 0;

  private constructor(target: string, options: RelayOptions) {
    const [host, port] = target.split(':');
    this.#target = { host: host as string, port: Number(port) };
    this.#options = options;
    this.#listener = createServer((client) => this.#accept(client));
  }

  /** Opens a relay to `host:port`. */
  static async open(target: string, options: RelayOptions = {}): Promise<Relay> {
    const relay = new Relay(target, options);
    const { host, port } = options.listen ?? { host: '127.0.0.1', port: 0 };
    relay.#listener.listen(port, host);
    await once(relay.#listener, 'listening');
    relay.address = `${host}:${(relay.#listener.address() as AddressInfo).port}`;
    return relay;
  }

  #accept(client: Socket): void {
    this.#asked++;
    if (this.#refuses) {
      client.destroy();
      return;
    }
    const wire = new Wire(client, this.#target, this.#options, this.#held);
    this.#wires.add(wire);
    client.on('close', () => this.#wires.delete(wire));
  }

  /** How many connections go through it now. */
  get connections(): number {
    return this.#wires.size;
  }

  /** How many connections were ever asked for. */
  get asked(): number {
    return this.#asked;
  }

  /** Keeps back what the server says, on all connections, until {@link release}. */
  hold(): void {
    this.#held = true;
    for (const wire of this.#wires) wire.hold();
  }

  /** Delivers what was kept back and stops keeping back. */
  release(): void {
    this.#held = false;
    for (const wire of this.#wires) wire.release();
  }

  /** Ends all connections. New ones are taken, or with `refuse` ended at once until {@link accept}. */
  cut(refuse = false): void {
    this.#refuses = refuse;
    for (const wire of this.#wires) wire.cut();
  }

  /** Ends new connections at once until {@link accept}; the ones there are stay. */
  refuse(): void {
    this.#refuses = true;
  }

  /** Takes connections again. */
  accept(): void {
    this.#refuses = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut(true);
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    await closed;
  }
}
