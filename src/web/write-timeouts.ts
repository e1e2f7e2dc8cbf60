/**
 * HTTP/1.1 connections whose clients take nothing of what is sent to them: answers, streams, WebSockets. What waits for such a client
 * would be held for as long as it likes. A client that takes a little now and then stays, and one to whom nothing is sent.
 */
import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { type Client, clientOf } from '../rpc/client.ts';
import { writeInPieces } from './pieces-written.ts';

/**
 * A connection is looked at so many times in the time that it has. Looks are counted, and not the time: so a process that stood
 * still, which has one look afterwards, blames nobody for that.
 */
const LOOKS = 4;

/** What is being sent on a connection. */
interface Sending {
  readonly socket: Socket;
  /** Looks since something of it was taken. */
  looks: number;
}

export class WriteTimeouts {
  readonly #lookMs: number;
  readonly #onLimit: (limit: 'writeTimeout', client: Client) => void;
  /** What was sent something since the last look, or has not taken all of it. */
  readonly #sending = new Set<Sending>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param ms how long a client may take nothing, up to a quarter longer; 0: for ever
   * @param onLimit is told of one that did
   */
  constructor(ms: number, onLimit: (limit: 'writeTimeout', client: Client) => void = () => {}) {
    this.#lookMs = ms / LOOKS;
    this.#onLimit = onLimit;
  }

  /** Closes the connections of a server whose clients take nothing for so long. */
  watch(server: Server): void {
    if (this.#lookMs === 0) return;
    server.on('connection', (socket) => {
      // One in memory is a stream of HTTP/2, which has a bound of its own.
      if (!(socket instanceof Socket)) return;
      const sending = { socket, looks: 0 };
      writeInPieces(socket, () => this.#onPiece(sending));
    });
  }

  #onPiece(sending: Sending): void {
    sending.looks = 0;
    this.#sending.add(sending);
    this.#timer ??= setInterval(() => this.#look(), this.#lookMs).unref();
  }

  #look(): void {
    for (const sending of this.#sending) {
      const { socket } = sending;
      const waits = !socket.destroyed && socket.writableLength > 0;
      if (waits && sending.looks++ < LOOKS) continue;
      this.#sending.delete(sending);
      if (!waits) continue;
      this.#onLimit('writeTimeout', clientOf(socket));
      socket.destroy();
    }
    if (this.#sending.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
