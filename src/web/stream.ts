/**
 * The client's side of a stream of the web door, whatever protocol it came in. The service pushes, the protocol pulls:
 * what was not pulled yet waits here, and when more than a bounded number of bytes wait the service is told to pause until
 * all were pulled.
 *
 * What a protocol does with it: {@link WebStream.ask}, then {@link WebStream.next} until the end, writing each reply as its
 * client takes it. What is thrown on the way goes through `WebCall.fail`, and what that makes of it to
 * {@link WebStream.cancel}. That is also for one that stops early by itself. Where clients send more than one message,
 * {@link WebStream.open} stands for `ask`, and {@link WebStream.receive} and {@link WebStream.halfClose} follow.
 */
import type { ServerStream, ServerStreamListener, Services } from '../rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { WebCall } from './call.ts';

const ignore = (): void => {};

/** The client's side of a stream. */
export class WebStream implements ServerStream {
  listener: ServerStreamListener = NO_STREAM_LISTENER;
  readonly #call: WebCall;
  readonly #maxUnreadBytes: number;
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #full = false;
  #status: Status | undefined;
  #wake: () => void = ignore;
  /** Settles when the service takes messages of the client again. */
  #paused: PromiseWithResolvers<void> | undefined;

  constructor(call: WebCall, maxUnreadBytes: number) {
    this.#call = call;
    this.#maxUnreadBytes = maxUnreadBytes;
  }

  sendHeaders(): void {
    // They are sent with the first message, or with the end when there is none.
  }

  send(message: Uint8Array): boolean {
    if (this.#status) return true;
    this.#call.onSent();
    this.#unread.push(message);
    this.#unreadBytes += message.length;
    this.#full ||= this.#unreadBytes > this.#maxUnreadBytes;
    this.#wake();
    return !this.#full;
  }

  sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.send(Buffer.concat([head, tail]));
  }

  end(status: Status): void {
    if (this.#status) return;
    this.#close(status);
    this.#call.finish(status.code);
  }

  hold(): void {
    // The client's messages are counted until the call ends.
  }

  pause(): void {
    this.#paused ??= Promise.withResolvers();
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  /**
   * Runs the call: gives its service the only message of the client.
   * @param request makes the encoded message, once it is known that somebody waits for the answer
   * @throws RpcError when nobody does
   */
  ask(services: Services, request: () => Uint8Array): void {
    this.#call.run((error) => this.cancel(error));
    const message = request();
    services.stream(this.#call.method.path)(this, this.#call);
    this.listener.onMessage(message);
    if (!this.#status) this.listener.onHalfClose();
  }

  /**
   * Runs the call, whose client sends any number of messages.
   * @throws RpcError when nobody waits for the answer
   */
  open(services: Services): void {
    this.#call.run((error) => this.cancel(error));
    services.stream(this.#call.method.path)(this, this.#call);
  }

  /** Gives the service a message of the client. Settles when it takes the next one; nothing after the end. */
  async receive(message: Uint8Array): Promise<void> {
    if (this.#status) return;
    this.listener.onMessage(message);
    await this.#paused?.promise;
  }

  /** The client sends no more. */
  halfClose(): void {
    if (!this.#status) this.listener.onHalfClose();
  }

  /** Nobody reads any more: drops what waits and tells the service. */
  cancel(error: RpcError): void {
    if (this.#status) return;
    const { listener } = this;
    this.#unread = [];
    this.#close(error);
    listener.onCancel();
  }

  /**
   * The next message, or `undefined` at the end of a stream that succeeded.
   * @throws RpcError (rejects) at the end of one that failed
   */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#take();
      if (message) return message;
      const status = this.#status;
      if (status?.code === Code.OK) return undefined;
      if (status) throw new RpcError(status.code, status.message, status.details);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Whether {@link next} has something to give, be it the end, within so many milliseconds. */
  async arrives(ms: number): Promise<boolean> {
    if (this.#unread.length > 0 || this.#status !== undefined) return true;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #take(): Uint8Array | undefined {
    const message = this.#unread.shift();
    if (message) this.#unreadBytes -= message.length;
    if (this.#unread.length === 0 && this.#full) {
      this.#full = false;
      this.listener.onDrain();
    }
    return message;
  }

  #close(status: Status): void {
    this.#status = status;
    this.listener = NO_STREAM_LISTENER;
    this.resume();
    this.#wake();
  }
}
