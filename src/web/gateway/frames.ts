/** What comes on a WebSocket, as one body: frame after frame, read no faster than it is taken. */
import type { WebSocket } from 'ws';
import { clientGone } from '../body.ts';
import type { WebCall } from '../call.ts';
import type { WebRequest } from '../request-memory.ts';

/** A frame may end in the middle of a value, or without white space after one. */
const BETWEEN = Buffer.from('\n');

/** What a frame that waits takes beside its bytes, be it without any. */
const FRAME_BYTES = 128;

export class Frames {
  readonly #socket: WebSocket;
  readonly #held: WebRequest | undefined;
  readonly #call: WebCall;
  /** Frames that were read before the socket was paused. */
  #waiting: Buffer[] = [];
  #dropping = false;
  #wake: () => void = () => {};

  /** @param held where it is counted what waits */
  constructor(socket: WebSocket, held: WebRequest | undefined, call: WebCall) {
    this.#socket = socket;
    this.#held = held;
    this.#call = call;
    call.onRefused = () => this.#wake();
    socket.binaryType = 'nodebuffer';
    socket.on('message', (frame) => this.#onFrame(frame as Buffer));
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

  #onFrame(frame: Buffer): void {
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
