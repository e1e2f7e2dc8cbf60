/**
 * A streaming call within a namespace: stands between the client and the service on full keys, and is each for the other.
 * Whatever comes behind a message that takes several turns waits for it, and who sends is told to.
 */
import type { KeyFields } from '../etcd/key-fields.ts';
import type { ServerStream, ServerStreamListener, StreamHandler } from '../rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../rpc/no-stream-listener.ts';
import { PassingStream } from '../rpc/passing-stream.ts';
import { RpcError, type Status } from '../rpc/status.ts';
import type { Translation } from './namespaced-unary.ts';
import type { Translated } from './shared-replies.ts';
import { TranslationQueue } from './translation-queue.ts';
import { SHARED_FROM, type Translator } from './translator.ts';

/** The handler of a method whose keys are within the namespace, on top of one of full keys. */
export function namespacedStream(
  below: StreamHandler,
  { request, reply, translator }: Translation,
): StreamHandler {
  if (request === undefined || reply === undefined) return below;
  return (client, call) => {
    const stream = new NamespacedStream(client, request, reply, translator);
    client.listener = stream;
    below(stream, call);
  };
}

const NOTHING = new Uint8Array(0);

class NamespacedStream extends PassingStream implements ServerStreamListener {
  listener: ServerStreamListener = NO_STREAM_LISTENER;
  readonly #request: KeyFields;
  readonly #reply: KeyFields;
  readonly #translator: Translator;
  /** What the client says, and what it is told, while something of it is being translated. */
  #requests: TranslationQueue | undefined;
  #replies: TranslationQueue | undefined;
  /** The client takes more. */
  #hasRoom = true;
  /** The service wants a pause. */
  #paused = false;
  #over = false;

  constructor(client: ServerStream, request: KeyFields, reply: KeyFields, translator: Translator) {
    super(client);
    this.#request = request;
    this.#reply = reply;
    this.#translator = translator;
  }

  onMessage(message: Uint8Array): void {
    if (this.#over) return;
    if (this.#requests?.busy) {
      this.#requests.add(() => this.onMessage(message));
      return;
    }
    try {
      const translated = this.#translator.request(message, this.#request);
      if (translated instanceof Promise) this.#awaitRequest(translated);
      else this.listener.onMessage(translated);
    } catch (error) {
      this.#fail(error);
    }
  }

  onHalfClose(): void {
    if (this.#over) return;
    if (this.#requests?.busy) this.#requests.add(() => this.onHalfClose());
    else this.listener.onHalfClose();
  }

  onDrain(): void {
    this.#hasRoom = true;
    if (!this.#over && !this.#replies?.busy) this.listener.onDrain();
  }

  onCancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.onCancel();
  }

  send(message: Uint8Array): boolean {
    return this.#send(NOTHING, message, message.length >= SHARED_FROM);
  }

  /** What is joined has keys in its tail alone, which others may get as well. */
  override sendJoined(head: Uint8Array, tail: Uint8Array): boolean {
    return this.#send(head, tail, true);
  }

  override end(status: Status): void {
    if (this.#replies?.busy) {
      this.#replies.add(() => this.end(status));
      return;
    }
    this.#over = true;
    this.client.end(status);
  }

  override pause(): void {
    this.#paused = true;
    this.client.pause();
  }

  override resume(): void {
    this.#paused = false;
    if (!this.#requests?.busy) this.client.resume();
  }

  #awaitRequest(translated: Promise<Uint8Array>): void {
    this.client.pause();
    this.#requests ??= new TranslationQueue(() => {
      if (!this.#paused) this.client.resume();
    });
    this.#requests.wait(
      translated,
      (message) => {
        if (!this.#over) this.listener.onMessage(message);
      },
      (error) => this.#fail(error),
    );
  }

  #send(head: Uint8Array, tail: Uint8Array, shared: boolean): boolean {
    if (this.#over) return true;
    if (this.#replies?.busy) {
      this.#replies.add(() => this.#send(head, tail, shared));
      return false;
    }
    let translated: Translated;
    try {
      translated = this.#translator.reply(tail, this.#reply, shared);
    } catch (error) {
      this.#fail(error);
      return true;
    }
    if (!(translated instanceof Promise)) return this.#give(head, translated);
    this.#replies ??= new TranslationQueue(() => {
      if (this.#hasRoom && !this.#over) this.listener.onDrain();
    });
    this.#replies.wait(
      translated,
      (message) => this.#give(head, message),
      (error) => this.#fail(error),
    );
    return false;
  }

  #give(head: Uint8Array, tail: Uint8Array): boolean {
    if (this.#over) return true;
    this.#hasRoom = head.length === 0 ? this.client.send(tail) : this.client.sendJoined(head, tail);
    return this.#hasRoom;
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.onCancel();
    this.client.end(RpcError.from(error));
    // A fault of the program; whoever looks after those hears of it.
    if (!(error instanceof RpcError)) throw error;
  }
}
