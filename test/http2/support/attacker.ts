/** Carries out an {@link Attack} on a number of connections; where one is cut off, the next takes its place. */
import net from 'node:net';
import type { Attack } from './attacks.ts';
import * as raw from './raw-peer.ts';

const GREETING = Buffer.concat([raw.MAGIC, raw.settings()]);

/** A hostile client with all its connections. */
export class Attacker {
  /** Connections that the server has ended. */
  cut = 0;
  /** Codes of the GOAWAY frames that came, each once. */
  readonly codes = new Set<number>();
  readonly #attack: Attack;
  readonly #port: number;
  readonly #returnMs: number;
  readonly #sockets = new Set<net.Socket>();
  /** Connections that may still be opened. */
  #left: number;
  #stopped = false;

  /**
   * Begins.
   * @param connections at a time
   * @param total in all; without it the attack goes on until {@link stop}
   * @param returnMs milliseconds until a connection that was cut off is replaced
   */
  constructor(
    port: number,
    attack: Attack,
    connections: number,
    total = Number.POSITIVE_INFINITY,
    returnMs = 0,
  ) {
    this.#attack = attack;
    this.#port = port;
    this.#returnMs = returnMs;
    this.#left = total;
    for (let i = 0; i < connections; i++) this.#open();
  }

  /** Connections under attack now. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Ends all connections. */
  stop(): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(): void {
    if (this.#stopped || this.#left-- <= 0) return;
    const socket = net.connect(this.#port, '127.0.0.1');
    this.#sockets.add(socket);
    let over = false;
    const finish = (): void => {
      if (over) return;
      over = true;
      this.#sockets.delete(socket);
      socket.destroy();
      if (!this.#stopped) this.cut++;
      if (this.#returnMs > 0) setTimeout(() => this.#open(), this.#returnMs);
      else setImmediate(() => this.#open());
    };
    for (const event of ['error', 'end', 'close']) socket.on(event, finish);
    this.#listen(socket);
    socket.on('connect', () => {
      socket.write(GREETING);
      this.#flood(socket, 0);
    });
  }

  #listen(socket: net.Socket): void {
    if (this.#attack.deaf === true) return;
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      const parsed = raw.parseFrames(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
      rest = parsed.rest;
      for (const { type, payload } of parsed.frames)
        if (type === 'GOAWAY') this.codes.add(payload.readUInt32BE(4));
    });
  }

  #flood(socket: net.Socket, round: number): void {
    if (socket.destroyed) return;
    const { send, pauseMs } = this.#attack;
    const taken = socket.write(send(round));
    const next = (): void => this.#flood(socket, round + 1);
    if (pauseMs !== undefined) setTimeout(next, pauseMs).unref();
    else if (taken) setImmediate(next);
    else socket.once('drain', next);
  }
}
