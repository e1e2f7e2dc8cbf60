/**
 * What the web door holds for requests, counted on the accounts that all doors share: heads, also those that are not
 * complete, and bodies. A request that makes its connection hold too much is read no further until there is room,
 * and refused when it belongs to the connections that hold most.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Http2Stream } from '../http2/index.ts';
import type { Account, AccountHolder, Ledger } from '../rpc/ledger.ts';

/** How often connections are looked at that have no request yet, but perhaps a part of one. Milliseconds. */
const LOOK_MS = 250;

/** How long a request waits for room before it is made by refusing the largest. Milliseconds. */
const HELD_BACK_MS = 1000;

/** A body is there twice while its message is decoded and encoded again. */
const COPIES = 2;

/** Where the bytes of one connection are counted. */
interface Purse {
  /**
   * Counts bytes, so many of which have just arrived. False when there is too much: see {@link WebRequest.room}.
   */
  take(bytes: number, arrived: number): boolean;
  /** Bytes are held no more. */
  give(bytes: number): void;
  /** A request is over, for which so many are counted. */
  end(request: WebRequest, bytes: number): void;
}

/** One request of the web door. */
export class WebRequest {
  readonly #purse: Purse;
  #held = 0;
  /** What is counted for the body once it is unpacked. */
  #unpacked = 0;
  #wait: PromiseWithResolvers<void> | undefined;
  /** All of it has arrived, so that nothing is gained by refusing it. */
  complete = false;
  /** It has to go, and its body must not be read any more. */
  refused = false;
  /** Called when it is refused. */
  onRefused: () => void = () => {};

  constructor(purse: Purse) {
    this.#purse = purse;
  }

  /** Bytes of the head are held. */
  head(bytes: number): void {
    this.#held += bytes;
    this.#purse.take(bytes, bytes);
  }

  /** A part of the body has arrived. */
  body(bytes: number): void {
    this.#take(COPIES * bytes, bytes);
  }

  /** So many bytes of the body were passed on, and are held no more. */
  passed(bytes: number): void {
    const passed = Math.min(this.#held, COPIES * bytes);
    this.#held -= passed;
    this.#purse.give(passed);
  }

  /** The body is of so many bytes once it is unpacked, or says so. */
  onUnpacked(bytes: number): void {
    const more = COPIES * bytes - this.#unpacked;
    if (more <= 0) return;
    this.#unpacked += more;
    this.#take(more, 0);
  }

  /** Settles when the next part may be read, or the request was refused; undefined: at once. */
  get room(): Promise<void> | undefined {
    return this.#wait?.promise;
  }

  refuse(): void {
    this.refused = true;
    this.goOn();
    this.onRefused();
  }

  /** There is room. */
  goOn(): void {
    this.#wait?.resolve();
    this.#wait = undefined;
  }

  /** The request is over. */
  end(): void {
    this.#purse.end(this, this.#held);
    this.#held = 0;
    this.goOn();
  }

  #take(bytes: number, arrived: number): void {
    this.#held += bytes;
    if (!this.#purse.take(bytes, arrived) && !this.refused) this.#wait ??= Promise.withResolvers();
  }
}

/** A connection of a client that speaks HTTP/1.1, with an account of its own. */
class SocketPurse implements Purse, AccountHolder {
  /** Clients may send the next one before they have the answer. */
  readonly #requests = new Set<WebRequest>();
  readonly #socket: Socket;
  readonly #account: Account;
  /** What the socket had read when its last request was over, and what was counted of the next one's head. */
  #read = 0;
  #head = 0;
  /** The latest request, and whether it was answered before all of it had arrived. */
  #last: IncomingMessage | undefined;
  #skips = false;
  #patience: NodeJS.Timeout | undefined;

  constructor(socket: Socket, ledger: Ledger) {
    this.#socket = socket;
    this.#account = ledger.open(this);
    socket.once('close', () => {
      clearTimeout(this.#patience);
      this.#account.close();
    });
  }

  take(bytes: number): boolean {
    const account = this.#account;
    if (this.#socket.destroyed || !account.take(bytes)) return true;
    if (account.full) account.relieveAll();
    if (account.over && (account.full || account.hopeless)) this.refuse();
    if (!account.over) return true;
    account.wait();
    account.countHeldBack();
    this.#wait();
    return false;
  }

  give(bytes: number): void {
    if (!this.#socket.destroyed) this.#account.give(bytes);
  }

  end(request: WebRequest, bytes: number): void {
    this.#requests.delete(request);
    this.give(bytes);
    this.#read = this.#socket.bytesRead;
    this.#skips = this.#last?.complete === false;
  }

  /** The head is complete, and counted with its request from here on. */
  begin(request: WebRequest, message: IncomingMessage): void {
    this.#requests.add(request);
    this.#last = message;
    this.#account.give(this.#head);
    this.#head = 0;
  }

  /** Counts the head of a request that is not complete. */
  look(): void {
    if (this.#requests.size > 0) return;
    // What is left of a request that was answered early is read and dropped.
    if (this.#skips) this.#read = this.#socket.bytesRead;
    this.#skips &&= this.#last?.complete === false;
    const more = this.#socket.bytesRead - this.#read - this.#head;
    this.#head += more;
    if (more > 0) this.take(more);
  }

  refuse(): number {
    const requests = [...this.#requests].filter(({ complete, refused }) => !complete && !refused);
    if (this.#socket.destroyed || (requests.length === 0 && this.#requests.size > 0)) return 0;
    this.#account.countRefused();
    if (requests.length === 0) this.#socket.destroy();
    for (const request of requests) request.refuse();
    return this.#account.held;
  }

  onRoomChanged(): void {
    if (this.#account.over) return;
    this.#account.stopWaiting();
    clearTimeout(this.#patience);
    this.#patience = undefined;
    for (const request of this.#requests) request.goOn();
  }

  /** Waits for room. If none comes in HELD_BACK_MS, the largest holders must free some. */
  #wait(): void {
    this.#patience ??= setTimeout(() => {
      this.#patience = undefined;
      if (this.#account.over) this.#account.makeRoom();
      if (this.#account.over) this.#wait();
      else this.onRoomChanged();
    }, HELD_BACK_MS).unref();
  }
}

/** An HTTP/2 stream in the web door. The engine counts what arrives; this counts what is made of it. */
class StreamPurse implements Purse {
  request: WebRequest | undefined;
  readonly #stream: Http2Stream;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  take(bytes: number, arrived: number): boolean {
    if (!this.#stream.charge(bytes - arrived)) this.request?.refuse();
    return true;
  }

  give(): void {
    // As in end.
  }

  end(): void {
    this.request = undefined;
    // What is counted is let go with the stream.
  }
}

/** All connections of the web door. */
export class RequestMemory {
  readonly #ledger: Ledger;
  readonly #purses = new WeakMap<Duplex, Purse>();
  readonly #sockets = new Set<SocketPurse>();
  readonly #requests = new WeakMap<IncomingMessage, WebRequest>();
  readonly #timer: NodeJS.Timeout;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#timer = setInterval(() => {
      for (const purse of this.#sockets) purse.look();
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** An HTTP/2 stream comes as a connection in memory. */
  bridge(connection: Duplex, stream: Http2Stream): void {
    this.#purses.set(connection, new StreamPurse(stream));
  }

  /** A connection was opened. */
  onConnected(socket: Socket): void {
    if (this.#purses.has(socket)) return;
    const purse = new SocketPurse(socket, this.#ledger);
    this.#purses.set(socket, purse);
    this.#sockets.add(purse);
    socket.once('close', () => this.#sockets.delete(purse));
  }

  /** The head of a request is complete. Whoever says so tells its {@link WebRequest.end}. */
  begin(message: IncomingMessage): WebRequest | undefined {
    const purse = this.#purses.get(message.socket);
    if (purse === undefined) return undefined;
    const request = new WebRequest(purse);
    if (purse instanceof SocketPurse) {
      purse.begin(request, message);
      request.head(sizeOf(message.rawHeaders));
    } else if (purse instanceof StreamPurse) purse.request = request;
    this.#requests.set(message, request);
    return request;
  }

  /** A request makes its connection another one's, which lasts as long as what is held for it. */
  upgraded(message: IncomingMessage, connection: Duplex): WebRequest | undefined {
    const request = this.begin(message);
    connection.once('close', () => request?.end());
    return request;
  }

  /** The request that a message is. */
  of(message: IncomingMessage): WebRequest | undefined {
    return this.#requests.get(message);
  }

  /** Refuses the request of a connection in memory; false when there is none. */
  refuse(connection: Duplex): boolean {
    const purse = this.#purses.get(connection);
    if (!(purse instanceof StreamPurse)) return false;
    purse.request?.refuse();
    return purse.request !== undefined;
  }

  /** Looks at nothing any more. */
  close(): void {
    clearInterval(this.#timer);
  }
}

function sizeOf(fields: readonly string[]): number {
  let sum = 0;
  for (const text of fields) sum += text.length;
  return sum;
}
