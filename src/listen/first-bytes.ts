/**
 * Waits for the first bytes of a connection, as many as it takes to tell what it speaks: TLS starts with a
 * handshake record (RFC 8446 section 5.1), HTTP/2 with a fixed preface (RFC 9113 section 3.4), and everything else
 * is HTTP/1.1.
 */
import type { Socket } from 'node:net';
import { PREFACE as WHOLE_PREFACE } from '../http2/index.ts';

/** The part of the HTTP/2 preface that no HTTP/1.1 request can start with. */
const PREFACE = WHOLE_PREFACE.subarray(0, 'PRI * HTTP/2.0\r\n'.length);
/** The type of a TLS record that holds a part of a handshake. */
const HANDSHAKE_RECORD = 0x16;

const NOTHING: Buffer = Buffer.alloc(0);

/** What a connection speaks, as its first bytes show. */
export type WireProtocol = 'tls' | 'http2' | 'http1';

/** What bytes open; undefined when more are needed. */
function openingOf(head: Buffer): WireProtocol | undefined {
  if (head[0] === HANDSHAKE_RECORD) return 'tls';
  const compared = Math.min(head.length, PREFACE.length);
  if (head.compare(PREFACE, 0, compared, 0, compared) !== 0) return 'http1';
  return compared < PREFACE.length ? undefined : 'http2';
}

/** Hears what a connection opens with. The socket is paused, and `head` holds what was read from it. */
export type OnOpening = (socket: Socket, opening: WireProtocol, head: Buffer) => void;

/** The connections that have not said yet what they speak. */
export class FirstBytes {
  readonly #undecided = new Set<Socket>();
  readonly #timeout: number;
  readonly #onSilent: () => void;

  /**
   * @param timeout milliseconds in which a connection has to say what it speaks
   * @param onSilent a connection was closed because it did not
   */
  constructor(timeout: number, onSilent: () => void) {
    this.#timeout = timeout;
    this.#onSilent = onSilent;
  }

  /** Calls `onOpening` once, unless the connection ends before or stays silent. */
  wait(socket: Socket, onOpening: OnOpening): void {
    this.#undecided.add(socket);
    const timer = setTimeout(() => {
      this.#onSilent();
      socket.destroy();
    }, this.#timeout);
    let head = NOTHING;
    const onData = (chunk: Buffer): void => {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const opening = openingOf(head);
      if (opening === undefined) return;
      leave();
      socket.pause();
      onOpening(socket, opening, head);
    };
    const leave = (): void => {
      clearTimeout(timer);
      this.#undecided.delete(socket);
      socket.off('data', onData);
      socket.off('error', ignoreReset);
      socket.off('close', leave);
      socket.off('end', onEnd);
    };
    const onEnd = (): void => {
      socket.destroy();
    };
    socket.on('data', onData);
    socket.on('error', ignoreReset);
    socket.on('end', onEnd);
    socket.on('close', leave);
  }

  /** Drops all of them. */
  close(): void {
    for (const socket of this.#undecided) socket.destroy();
  }
}

/** A peer that resets an undecided connection has ended it; `close` follows and cleans up. */
function ignoreReset(): void {
  // `close` follows every error.
}
