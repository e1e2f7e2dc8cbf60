/**
 * A stream of a client that the proxy signs in. It waits until the token is known to be good. When that is over while the
 * stream lives, so that etcd refuses something for it, the stream ends in a way that the client comes back from.
 */
import { Watch } from '../etcd/methods.ts';
import { isRefusedCreate } from '../etcd/watch-response.ts';
import { wantsToken } from '../etcd/words.ts';
import type { Call, ServerStream, ServerStreamListener, StreamHandler } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { PassingStream } from '../rpc/passing-stream.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import { Browser } from './browser.ts';
import { HeldReplies } from './held-replies.ts';
import { hasAnother, SignedCall, type SigningUser } from './signed-call.ts';

/** What a client hears whose stream has to be opened again, with the token that there is now. */
const SIGNED_IN_AGAIN = new RpcError(
  Code.UNAVAILABLE,
  'etcd-connect-proxy: signed in again for the client, whose stream has to be opened again',
);

/** Whose replies refuse something although the stream goes on. */
const REFUSING: ReadonlySet<Method> = new Set([Watch.Watch, Browser.Watch]);

export class SignedStream extends PassingStream {
  readonly #call: Call;
  readonly #user: SigningUser;
  #signed: Metadata;
  /** What the client is not told yet: a refusal, until it is known whether it was for the token's sake, and what follows. */
  #held: HeldReplies | undefined;
  /** By its handler. */
  #paused = false;

  constructor(client: ServerStream, call: Call, user: SigningUser) {
    super(client);
    this.#call = call;
    this.#user = user;
    this.#signed = call.metadata;
  }

  /** Gives the stream to its handler as soon as the token is good, or cannot be. */
  begin(handler: StreamHandler): void {
    const waiting = new Waiting(this.client);
    this.client.listener = waiting;
    this.client.pause();
    void this.#user.confirm().then(() => {
      if (!waiting.cancelled) this.#give(handler, waiting);
    });
  }

  #give(handler: StreamHandler, waiting: Waiting): void {
    this.#signed = this.#user.sign(this.#call.metadata);
    try {
      handler(this, new SignedCall(this.#call, this.#signed));
      waiting.replay();
    } catch (error) {
      this.client.end(RpcError.from(error));
      throw error;
    }
    if (!this.#paused) this.client.resume();
  }

  get listener(): ServerStreamListener {
    return this.client.listener;
  }

  set listener(listener: ServerStreamListener) {
    this.client.listener = listener;
  }

  send(message: Uint8Array): boolean {
    if (this.#held !== undefined) return this.#held.add(message);
    if (!REFUSING.has(this.#call.method) || !isRefusedCreate(message)) return this.client.send(message);
    const held = new HeldReplies(this.client);
    this.#held = held;
    void this.#judge(held);
    return held.add(message);
  }

  override sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.#held === undefined ? this.client.sendJoined(head, tail) : this.#held.add(head, tail);
  }

  override end(status: Status): void {
    if (this.#held !== undefined) this.#held.end = status;
    else if (wantsToken(status)) void this.#endFor(status);
    else this.client.end(status);
  }

  override pause(): void {
    this.#paused = true;
    this.client.pause();
  }

  override resume(): void {
    this.#paused = false;
    this.client.resume();
  }

  /**
   * A watch was refused. It may be for the token's sake, which not every release says, and of what such a refusal says
   * clients do not come back. So it is asked now whether the token is good: what was asked before says nothing.
   */
  async #judge(held: HeldReplies): Promise<void> {
    try {
      const known = await this.#user.confirmAnew();
      this.#held = undefined;
      if (this.#call.cancelled) return;
      if (known && this.#user.sign(this.#call.metadata) === this.#signed) this.#release(held);
      else this.#breakOff(held);
    } catch (error) {
      this.client.end(RpcError.from(error));
      throw error;
    }
  }

  /** The refusal is etcd's word on the user: the client is told, and then what came meanwhile. */
  #release(held: HeldReplies): void {
    const [refusal, ...others] = held.take();
    let room = refusal === undefined || this.client.send(refusal.head);
    // The next refusal among them is looked at by itself.
    for (const { head, tail } of others) {
      const hasRoom = tail === undefined ? this.send(head) : this.sendJoined(head, tail);
      room &&= hasRoom;
    }
    if (held.end !== undefined) this.end(held.end);
    else if (room) this.client.listener.onDrain();
  }

  async #endFor(refusal: Status): Promise<void> {
    // Where that cannot be known now, it can be when the client comes back.
    const another = await hasAnother(this.#user, this.#signed).catch(() => true);
    this.client.end(another ? SIGNED_IN_AGAIN : refusal);
  }

  /** The client hears nothing of the refusal. */
  #breakOff({ end }: HeldReplies): void {
    if (end === undefined) this.client.listener.onCancel();
    this.client.end(SIGNED_IN_AGAIN);
  }
}

/** Keeps what the client says before there is anybody to hear it. It is paused, so that this is not much. */
class Waiting implements ServerStreamListener {
  cancelled = false;
  readonly #client: ServerStream;
  #messages: Uint8Array[] = [];
  #halfClosed = false;

  constructor(client: ServerStream) {
    this.#client = client;
  }

  onMessage(message: Uint8Array): void {
    this.#messages.push(message);
    this.#client.hold(message.length);
  }

  onHalfClose(): void {
    this.#halfClosed = true;
  }

  onDrain(): void {
    // Nothing was sent.
  }

  onCancel(): void {
    this.cancelled = true;
    this.#messages = [];
  }

  /** Tells the present listener all that was kept. */
  replay(): void {
    const messages = this.#messages;
    this.#messages = [];
    for (const message of messages) {
      this.#client.hold(-message.length);
      this.#client.listener.onMessage(message);
    }
    if (this.#halfClosed) this.#client.listener.onHalfClose();
  }
}
