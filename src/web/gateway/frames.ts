/** What comes on a WebSocket, as one body: frame after frame, read no faster than it is taken. */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { WebCall } from '../call.ts';
import { clientGone } from '../request-body.ts';
import type { WebRequest } from '../request-memory.ts';

/** A frame may end in the middle of a value, or without white space after one. */
const BETWEEN = Buffer.from('\n');

/** What a frame that waits takes beside its bytes, be it without any. */
const FRAME_BYTES = 128;

/** The head of a ping or pong of a client (RFC 6455 section 5.2): no longer one is allowed. */
const CONTROL_HEAD = 6;

export class Frames {
  readonly #socket: WebSocket;
  readonly #held: WebRequest | undefined;
  readonly #call: WebCall;
  /** Frames that were read before the socket was paused. */
  #waiting: Buffer[] = [];
  /** Bytes that arrived for a message that is not whole. */
  #begun = 0;
  #dropping = false;
  #wake: () => void = () => {};

  /**
   * @param connection what the frames come on
   * @param held where it is counted what waits
   */
  constructor(socket: WebSocket, connection: Duplex, held: WebRequest | undefined, call: WebCall) {
    this.#socket = socket;
    this.#held = held;
    this.#call = call;
    call.onRefused = () => this.#wake();
    socket.binaryType = 'nodebuffer';
    socket.on('message', (frame) => this.#onFrame(frame as Buffer));
    // Before they are looked at.
    connection.prependListener('data', ({ length }: Buffer) => this.#onBytes(length));
    for (const control of ['ping', 'pong'] as const)
      socket.on(control, ({ length }) => this.#whole(CONTROL_HEAD + length));
    socket.on('close', () => this.#wake());
    if (held !== undefined) held.onRefused = () => socket.terminate();
    // Its end follows.
    socket.on('error', () => this.#wake());
  }

  /** The frames, until nobody wants them; what they hold beside their bytes is let go. When the socket closes, the client has gone; when the call is refused, no more is read. @throws RpcError (rejects) */
  async *parts(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#waiting.shift();
      if (frame !== undefined) {
        this.#held?.passed(FRAME_BYTES);
        yield Buffer.concat([frame, BETWEEN]);
        continue;
      }
      await this.#held?.room;
      if (this.#call.refusal) throw this.#call.refusal;
      if (this.#socket.readyState !== this.#socket.OPEN) throw clientGone();
      // Some came while this waited, and nobody was told.
      if (this.#waiting.length > 0) continue;
      this.#socket.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Nothing that comes is wanted any more. */
  drop(): void {
    this.#dropping = true;
    for (const frame of this.#waiting) this.#held?.passed(sizeOf(frame));
    this.#waiting = [];
    this.#socket.resume();
  }

  /** Bytes have arrived; without room for them no more are read. */
  #onBytes(length: number): void {
    this.#begun += length;
    this.#held?.body(length);
    const room = this.#held?.room;
    if (room === undefined) return;
    this.#socket.pause();
    // It never rejects.
    void room.then(() => {
      if (this.#waiting.length === 0) this.#socket.resume();
    });
  }

  /** So many of the bytes that have arrived are no part of a message that is not whole. */
  #whole(bytes: number): void {
    const whole = Math.min(bytes, this.#begun);
    this.#begun -= whole;
    this.#held?.passed(whole);
  }

  #onFrame(frame: Buffer): void {
    this.#whole(this.#begun);
    if (this.#dropping) return;
    this.#waiting.push(frame);
    this.#held?.body(sizeOf(frame));
    this.#socket.pause();
    this.#wake();
  }
}

/** What is counted for a frame that waits. */
function sizeOf(frame: Buffer): number {
  return frame.length + BETWEEN.length + FRAME_BYTES;
}
