/**
 * Requests that take too long to arrive. Node.js has such a bound itself, but none for a single request, and there are some whose
 * body goes on for as long as the client likes: heartbeats, say, each a JSON value.
 */
import type { IncomingMessage, Server } from 'node:http';

/** What Node.js says of one. */
const TOO_SLOW = 'ERR_HTTP_REQUEST_TIMEOUT';

/** How often they are looked at, in milliseconds. */
const LOOK_MS = 1000;

const endless = new WeakSet<IncomingMessage>();

/** The body of this request may take any time. */
export function mayGoOn(request: IncomingMessage): void {
  endless.add(request);
}

export class SlowBodies {
  readonly #server: Server;
  readonly #mostMs: number;
  /** Requests that are not complete, the oldest first, and when they began. */
  readonly #open = new Map<IncomingMessage, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param mostMs in which a request has to arrive */
  constructor(server: Server, mostMs: number) {
    this.#server = server;
    this.#mostMs = mostMs;
  }

  /** The head of a request is there. */
  begin(request: IncomingMessage): void {
    if (request.complete) return;
    this.#open.set(request, performance.now());
    this.#timer ??= setInterval(() => this.#look(), Math.min(LOOK_MS, this.#mostMs)).unref();
  }

  /** It was answered: if not all of it was there, the rest has to arrive in time nevertheless. */
  onAnswered(request: IncomingMessage): void {
    if (request.complete) this.#open.delete(request);
  }

  #look(): void {
    const latest = performance.now() - this.#mostMs;
    for (const [request, began] of this.#open) {
      if (request.complete || request.destroyed || endless.has(request)) this.#open.delete(request);
      else if (began > latest) break;
      else {
        this.#open.delete(request);
        const error = Object.assign(new Error('the request takes too long'), { code: TOO_SLOW });
        this.#server.emit('clientError', error, request.socket);
      }
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
