/** A client that begins very many large requests at a time, at little cost to itself: all send the same bytes. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ClientCall, type ClientCallListener, type Ending } from '../../src/grpc/client-call.ts';
import { encodeHeaders, Http2Connection } from '../../src/http2/index.ts';

const receive = { maxBytes: 2 ** 31 - 1, tooLarge: () => 'too large' };
const ignore = (): void => {};

/** One request. */
class Hoarded implements ClientCallListener {
  readonly #ended: (ending: Ending) => void;

  constructor(ended: (ending: Ending) => void) {
    this.#ended = ended;
  }

  onHeaders(): void {
    // The end matters.
  }

  onMessage(): void {
    // The end matters.
  }

  onDrain(): void {
    // Everything was queued at once.
  }

  onEnding(ending: Ending): void {
    this.#ended(ending);
  }
}

/** One connection and its requests. */
export class Hoarder implements Disposable {
  /** How the requests ended, by status code and text. */
  readonly ends = new Map<string, number>();
  /** Set when the server ended the connection. */
  lost: string | undefined;
  readonly #socket: Socket;
  readonly #connection: Http2Connection;
  readonly #address: string;
  #closed = false;

  private constructor(socket: Socket, address: string, ready: () => void) {
    this.#socket = socket;
    this.#address = address;
    this.#connection = new Http2Connection(socket, 'client', {
      onStream: ignore,
      onReady: ready,
      onGoaway: ignore,
      onStreamSlots: ignore,
      onClose: (_, error) => {
        if (!this.#closed) this.lost = error?.message ?? 'closed';
      },
      onLimit: ignore,
      onFailure: (_, failure) => {
        throw failure;
      },
    });
  }

  static async open(address: string): Promise<Hoarder> {
    const [host, port] = address.split(':') as [string, string];
    const socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    const ready = Promise.withResolvers<void>();
    const hoarder = new Hoarder(socket, address, ready.resolve);
    await ready.promise;
    return hoarder;
  }

  /** Begins a request with these messages; without `end` it never ends. */
  begin(path: string, messages: readonly Uint8Array[], end: boolean, fields: readonly string[] = []): void {
    const block = encodeHeaders([
      ...[':method', 'POST', ':scheme', 'http', ':path', path, ':authority', this.#address],
      ...['te', 'trailers', 'content-type', 'application/grpc', ...fields],
    ]);
    const listener = new Hoarded(({ status: { code, message } }) => {
      const text = `${code} ${message}`.trim();
      this.ends.set(text, (this.ends.get(text) ?? 0) + 1);
    });
    const call = new ClientCall(
      this.#connection,
      block,
      listener,
      receive,
      Number.POSITIVE_INFINITY,
      'the proxy',
    );
    for (const [i, message] of messages.entries()) call.send(message, end && i === messages.length - 1);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#socket.destroy();
  }
}
