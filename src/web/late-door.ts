/**
 * The web door as the listeners see it. Half of the program stands behind it (Fastify, Connect, the descriptors of all
 * messages), and whoever speaks gRPC needs none of that: so it is read and built when the proxy serves already, in turns
 * that are short for the others ({@link readParts}). Who comes earlier waits. From then on nothing of the program is read
 * any more, so that its files may be replaced while it runs.
 */
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { ErrorCode, type Http2Stream, IGNORING, type StreamListener } from '../http2/index.ts';
import type { WebServerOptions } from './options.ts';
import { readParts } from './parts.ts';
import type { WebServer } from './server.ts';

/** The door, when it is there. */
interface Door {
  readonly server: WebServer;
  /** Takes the streams of HTTP/2 connections. */
  readonly stream: (stream: Http2Stream) => void;
}

/**
 * Between two parts others have about as long as a part takes, in milliseconds. In a single turn hardly anything of theirs
 * gets done: a connection that begins needs four.
 */
const REST_MS = 10;

const ignore = (): void => {};

export class LateWebDoor {
  readonly #options: WebServerOptions;
  #door: Door | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;
  /** Connections that wait, paused, with what was read from them already. */
  readonly #sockets = new Map<Socket, Buffer>();
  /** Streams that wait, paused. */
  readonly #streams = new Set<Http2Stream>();
  /** Listens to streams that wait. */
  readonly #waiting: StreamListener = {
    ...IGNORING,
    onClose: (stream) => this.#streams.delete(stream),
  };

  constructor(options: WebServerOptions) {
    this.#options = options;
  }

  /** Reads and builds it. @returns whether it is there; if it could not be made, whoever comes next tries again */
  async open(): Promise<boolean> {
    this.#opening ??= this.#open().catch((error: unknown) => this.#failed(error));
    await this.#opening;
    return this.#door !== undefined;
  }

  /** Takes an HTTP/1.1 connection that is paused; `head` holds the bytes read from it so far. */
  connection(socket: Socket, head: Buffer): void {
    if (this.#door !== undefined) {
      serve(this.#door, socket, head);
      return;
    }
    this.#sockets.set(socket, head);
    socket.on('error', ignore);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#admit();
  }

  /** Takes an HTTP/2 stream that is not gRPC. */
  stream(stream: Http2Stream): void {
    if (this.#door !== undefined) {
      this.#door.stream(stream);
      return;
    }
    stream.pause();
    stream.listener = this.#waiting;
    this.#streams.add(stream);
    this.#admit();
  }

  /** As {@link WebServer.drain}; what waits for the door still gets through it. */
  async drain(ms: number): Promise<void> {
    await this.#opening;
    await this.#door?.server.drain(ms);
  }

  /** Closes every connection at once. */
  close(): void {
    this.#closed = true;
    this.#breakOff();
    this.#door?.server.close();
  }

  #admit(): void {
    if (this.#closed) this.#breakOff();
    else void this.open();
  }

  #failed(error: unknown): void {
    this.#options.observer.onFault(error);
    this.#opening = undefined;
    this.#breakOff();
  }

  async #open(): Promise<void> {
    const rest = () => this.#rest();
    const { bridge, createWebServer } = await readParts(rest);
    await rest();
    if (this.#closed) return;
    const server = createWebServer(this.#options);
    await rest();
    await server.app.ready();
    await nextTurn();
    if (this.#closed) {
      server.close();
      return;
    }
    this.#door = { server, stream: bridge(server) };
    this.#letIn(this.#door);
    // Their requests are read in this turn; before, a drain would take their connections for idle.
    await nextTurn();
  }

  /** Who waits for the door does not wait for others. */
  async #rest(): Promise<void> {
    if (this.#sockets.size + this.#streams.size > 0) await nextTurn();
    else await sleep(REST_MS);
  }

  #letIn(door: Door): void {
    for (const [socket, head] of this.#sockets) {
      socket.off('error', ignore);
      serve(door, socket, head);
    }
    this.#sockets.clear();
    for (const stream of this.#streams) {
      try {
        door.stream(stream);
        stream.resume();
      } catch (error) {
        this.#options.observer.onFault(error);
        stream.reset(ErrorCode.INTERNAL_ERROR);
      }
    }
    this.#streams.clear();
  }

  #breakOff(): void {
    for (const socket of this.#sockets.keys()) socket.destroy();
    for (const stream of this.#streams) stream.reset(ErrorCode.INTERNAL_ERROR);
  }
}

function serve({ server }: Door, socket: Socket, head: Buffer): void {
  if (head.length > 0) socket.unshift(head);
  server.http.emit('connection', socket);
  socket.resume();
}
