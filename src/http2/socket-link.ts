/**
 * The socket of one connection: passes on what it reads, tells once when it is gone, and closes it so that
 * the last frames still reach the peer.
 */
import type { Socket } from 'node:net';
import { atEndOfTurn, type TurnEnd } from './end-of-turn.ts';

/**
 * Octets dropped after the end of a connection before the socket is destroyed, about what an honest peer has under
 * way. One that floods goes on until it is stopped, and reading that would cost more than all it sent before.
 */
const LINGER_BYTES = 256 << 10;

/**
 * Frames of a client, and messages in them, that are handled in one turn of the event loop, beside those that were read with the
 * last. Of a socket that sends fast enough 2 MiB are read in one turn, 64 KiB at a time: that may be 50 000 calls, or 400 000
 * messages in full frames. What is large in few of either goes on: forty clients that upload and are paused every 256 KiB took
 * 45 MiB more.
 */
export const WORK_PER_TURN = 2048;

/**
 * Octets; what is shorter has fewer frames than that, and is the last that is read in its turn. Not so with TLS, which gives what
 * was read record by record.
 */
const LONG = 16 << 10;

/** Is told what happens on the socket. */
export interface SocketOwner {
  readonly isServer: boolean;
  readonly handler: { readonly frames: number };
  /** The first call: the connection is ready to go. @param head octets that were read before; none: empty */
  onStarted(head: Buffer): void;
  /** Octets were read. */
  onReceived(chunk: Buffer): void;
  /** The socket has failed, was closed, or the peer sent its end; only once. */
  onGone(failure: Error | undefined): void;
}

/** Ties a socket to its connection. No call to the owner comes before the constructor returned. */
export class SocketLink implements TurnEnd {
  /** True once the socket was connected (with TLS: the handshake was done). */
  connected: boolean;
  /** What the messages so far that streams have told of count for, in frames. */
  messages = 0;
  private readonly socket: Socket;
  private readonly secure: boolean;
  private readonly owner: SocketOwner;
  private failure: Error | undefined;
  private over = false;
  private paused = false;
  private dropped = 0;
  /** Frames and messages so far when the first part of this turn came that counts; -1 before that. */
  private before = -1;
  private resting = false;

  constructor(socket: Socket, owner: SocketOwner, head: Buffer) {
    this.socket = socket;
    this.owner = owner;
    this.secure = 'encrypted' in socket;
    this.connected =
      !socket.connecting &&
      !(this.secure && 'secureConnecting' in socket && socket.secureConnecting === true);
    if (!this.connected) {
      socket.once(this.secure ? 'secureConnect' : 'connect', () => {
        this.connected = true;
      });
    }
    socket.on('error', (error) => {
      this.failure ??= error;
    });
    socket.on('close', () => this.finish());
    socket.setNoDelay(true);
    process.nextTick(() => this.start(head));
  }

  /** Reads nothing until {@link resume}. */
  pause(): void {
    this.paused = true;
    this.socket.pause();
  }

  /** Reads again. */
  resume(): void {
    this.paused = false;
    this.socket.resume();
  }

  /** What was read had a message in it, one of perhaps many. */
  countMessage(frames: number): void {
    this.messages += frames;
  }

  /**
   * Ends the socket after what was written to it, and destroys it when the peer does not take that in
   * `lingerMs`. Input is read and dropped meanwhile, up to {@link LINGER_BYTES}: unread input would make the
   * kernel reset the connection, and the peer lose our last frames.
   */
  close(lingerMs: number): void {
    this.over = true;
    const { socket } = this;
    if (socket.destroyed) return;
    if (!this.connected) {
      socket.destroy();
      return;
    }
    socket.end();
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
    socket.resume();
  }

  /** Input after the end. */
  private drop(octets: number): void {
    this.dropped += octets;
    if (this.dropped > LINGER_BYTES) this.socket.destroy();
  }

  private start(head: Buffer): void {
    const { socket } = this;
    if (this.over) return;
    if (socket.destroyed) {
      this.finish();
      return;
    }
    this.owner.onStarted(head);
    socket.on('data', (chunk: Buffer) => {
      if (this.over) this.drop(chunk.length);
      else this.receive(chunk);
    });
    socket.on('end', () => this.finish());
    // Whoever read the head has probably paused the socket.
    if (!this.paused) socket.resume();
  }

  private receive(chunk: Buffer): void {
    const { owner } = this;
    const counts = owner.isServer && (this.secure || chunk.length >= LONG);
    if (counts && this.before < 0) {
      this.before = this.work;
      atEndOfTurn(this);
    }
    owner.onReceived(chunk);
    if (!counts || this.over || this.work - this.before < WORK_PER_TURN) return;
    this.resting = true;
    this.socket.pause();
  }

  private get work(): number {
    return this.owner.handler.frames + this.messages;
  }

  /** @internal The next turn has work of its own. */
  onEndOfTurn(): void {
    this.before = -1;
    if (!this.resting) return;
    this.resting = false;
    if (!this.over && !this.paused) this.socket.resume();
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.owner.onGone(this.failure);
  }
}
