/**
 * Requests that come on a connection before the one ahead of them is answered (RFC 9112 section 9.3.2). As in Go's server each
 * begins when that is, since its answer has to wait anyway: so a connection costs the work of one request at a time, and what its
 * client does not wait for is never begun. Node.js begins all of them at once, and tells those behind the first nothing
 * when the connection closes.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** While so many requests of a connection wait, no more of it is read. The last read may have brought many more: it is 64 KiB. */
const MAX_WAITING = 64;

/** Serves the requests of each connection one after the other. */
export class Pipelined {
  readonly #serve: RequestListener;
  readonly #patienceMs: number;
  readonly #lines = new WeakMap<Socket, Line>();

  /** @param patienceMs how long a connection may be unread for this; that its client has gone is not noticed meanwhile */
  constructor(serve: RequestListener, patienceMs: number) {
    this.#serve = serve;
    this.#patienceMs = patienceMs;
  }

  /** The head of a request is there. */
  take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    let line = this.#lines.get(socket);
    if (line === undefined) {
      line = new Line(socket, this.#serve, this.#patienceMs);
      this.#lines.set(socket, line);
    }
    line.take(request, response);
  }

  /** Whether an answer is due on a connection, which cannot become something else then. */
  isBusy(socket: Socket): boolean {
    return this.#lines.get(socket)?.busy === true;
  }
}

/** The requests of a connection. */
class Line {
  readonly #socket: Socket;
  readonly #serve: RequestListener;
  readonly #waiting: (readonly [IncomingMessage, ServerResponse])[] = [];
  readonly #patienceMs: number;
  #busy = false;
  /** Runs while the connection is not read. */
  #patience: NodeJS.Timeout | undefined;

  constructor(socket: Socket, serve: RequestListener, patienceMs: number) {
    this.#socket = socket;
    this.#serve = serve;
    this.#patienceMs = patienceMs;
    // Node.js resumes it as well, for a body that is read.
    socket.on('resume', () => {
      if (this.#patience !== undefined) socket.pause();
    });
    socket.once('close', () => clearTimeout(this.#patience));
  }

  get busy(): boolean {
    return this.#busy;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#busy) {
      this.#begin(request, response);
      return;
    }
    this.#waiting.push([request, response]);
    if (this.#waiting.length < MAX_WAITING || this.#patience !== undefined) return;
    this.#patience = setTimeout(() => this.#socket.destroy(), this.#patienceMs).unref();
    this.#socket.pause();
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    this.#busy = true;
    response.once('close', () => {
      // In a later turn, or one connection's requests would keep all others waiting.
      if (this.#waiting.length > 0) setImmediate(() => this.#next());
      else this.#busy = false;
    });
    this.#serve(request, response);
  }

  #next(): void {
    const { destroyed, writableEnded } = this.#socket;
    const next = destroyed || writableEnded ? undefined : this.#waiting.shift();
    if (next === undefined) {
      this.#waiting.length = 0;
      return;
    }
    if (this.#patience !== undefined && this.#waiting.length < MAX_WAITING) {
      clearTimeout(this.#patience);
      this.#patience = undefined;
      this.#socket.resume();
    } else this.#patience?.refresh();
    this.#begin(...next);
  }
}
