/**
 * Hands HTTP/2 requests that are not gRPC to the web door. Each travels as an HTTP/1.1 request over a connection
 * in memory, so that Node.js itself keeps what holds on a socket: streamed bodies and back-pressure both ways, and
 * a client that goes is noticed at once, before and after the headers of the response.
 */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
  type Server,
} from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import {
  ErrorCode,
  encodeHeaders,
  type HeaderList,
  type Http2Stream,
  type StreamListener,
} from '../http2/index.ts';
import { clientOf, noteClient } from '../rpc/client.ts';
import { fieldValue } from '../rpc/metadata.ts';
import { noteScheme } from './browser-guard.ts';
import { comesFrom } from './outlet.ts';
import type { RequestMemory } from './request-memory.ts';

/** Takes the streams of HTTP/2 connections to the HTTP server of the web door. */
export function bridge(door: WebDoor): (stream: Http2Stream) => void {
  return (stream) => {
    if (!stream.charge(BRIDGED_OCTETS)) stream.reset(ErrorCode.ENHANCE_YOUR_CALM);
    if (stream.closed) return;
    try {
      stream.listener = new BridgedStream(stream, door);
    } catch (error) {
      if (!(error instanceof Unwritable)) throw error;
      stream.sendHeaders(encodeHeaders([':status', '400', 'content-length', '0']), true);
    }
  };
}

/** A request that HTTP/1.1 has no form for: an odd path, say, or an announcement of trailers without a body. */
class Unwritable extends Error {}
/** Where the requests go. */
export interface WebDoor {
  readonly http: Server;
  readonly memory: RequestMemory;
}

/** What a connection in memory and its request take beside the stream. Measured: 17 kB. */
const BRIDGED_OCTETS = 16 << 10;

const NOTHING = new Uint8Array(0);

/**
 * How long, in milliseconds, the end of an early answer waits for the end of its request. Ending both at once would
 * be legal (RFC 9113 section 8.1), but clients that are still sending, such as curl, then drop the answer.
 */
const LINGER_MS = 2000;

class BridgedStream implements StreamListener {
  readonly #stream: Http2Stream;
  readonly #request: ClientRequest;
  readonly #memory: RequestMemory;
  /** The end of the connection in memory that the web door has. */
  readonly #far: Duplex;
  #response: IncomingMessage | undefined;
  /** The trailers of an answer that is complete but for its end. */
  #lingering: HeaderList | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Bytes of the body that were handed over. */
  #received = 0;
  #dropping = false;

  /** @throws Unwritable */
  constructor(stream: Http2Stream, { http, memory }: WebDoor) {
    this.#stream = stream;
    this.#memory = memory;
    const [near, far] = duplexPair();
    this.#far = far;
    comesFrom(far, stream.connection);
    noteClient(far, clientOf(stream.connection));
    noteScheme(far, fieldValue(stream.headers, ':scheme') ?? '');
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
    this.#request = requestOver(near, stream);
    this.#request.on('drain', () => stream.resume());
    this.#request.on('error', () => this.#breakOff());
    this.#request.on('response', (response) => this.#answer(response));
    memory.bridge(far, stream);
    http.emit('connection', far);
  }

  onHeaders(): void {
    // The headers of the request were there before the listener.
  }

  onData(stream: Http2Stream, chunk: Buffer): void {
    if (this.#dropping) {
      stream.release(chunk.length);
      return;
    }
    this.#received += chunk.length;
    if (!this.#request.write(chunk)) stream.pause();
  }

  onTrailers(): void {
    // Neither gRPC-Web nor Connect sends any.
  }

  onEnd(): void {
    if (this.#lingering) this.#end(this.#lingering);
    else this.#request.end();
  }

  onDrain(): void {
    this.#response?.resume();
  }

  onTooMuch(): boolean {
    this.#drop();
    return this.#memory.refuse(this.#far);
  }

  onClose(): void {
    clearTimeout(this.#timer);
    this.#request.destroy();
  }

  #answer(response: IncomingMessage): void {
    const stream = this.#stream;
    if (stream.closed) return;
    this.#response = response;
    stream.sendHeaders(encodeHeaders(responseHeaders(response)));
    response.on('data', (chunk: Buffer) => {
      if (!stream.sendData(chunk)) response.pause();
    });
    response.on('end', () => this.#finish(response.rawTrailers));
    response.on('error', () => this.#breakOff());
  }

  #finish(rawTrailers: HeaderList): void {
    if (this.#stream.endStreamReceived) {
      this.#end(rawTrailers);
      return;
    }
    this.#lingering = rawTrailers;
    this.#drop();
    this.#stream.resume();
    this.#timer = setTimeout(() => this.#end(rawTrailers), LINGER_MS);
  }

  /** Nobody needs the body any more, neither what has arrived nor what comes. */
  #drop(): void {
    this.#dropping = true;
    this.#stream.release(this.#received);
    this.#received = 0;
  }

  #end(rawTrailers: HeaderList): void {
    const stream = this.#stream;
    if (stream.closed) return;
    if (rawTrailers.length > 0) stream.sendTrailers(encodeHeaders(lowerCaseNames(rawTrailers)));
    else stream.sendData(NOTHING, true);
  }

  /** The connection in memory broke: the web door could not go on with a response it had begun. */
  #breakOff(): void {
    if (!this.#stream.closed && !this.#lingering) this.#stream.reset(ErrorCode.INTERNAL_ERROR);
  }
}

/**
 * Fields of one HTTP/1.1 connection, which HTTP/2 has no use for. The length of a body goes too: frames delimit
 * it, and a wrong one would let a request run into the next.
 */
const REQUEST_ONLY: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);
const RESPONSE_ONLY: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Begins a request, and ends it if it has no body. @throws Unwritable */
function requestOver(connection: Duplex, stream: Http2Stream): ClientRequest {
  let request: ClientRequest | undefined;
  try {
    request = httpRequest({ createConnection: () => connection, ...requestOptions(stream) });
    // This is where Node.js looks at the fields as a whole.
    if (stream.empty) request.end();
    else request.flushHeaders();
    return request;
  } catch (error) {
    request?.on('error', () => {}); // what destroying it gives; the client is told by the answer
    request?.destroy();
    connection.destroy();
    if (isRefusal(error)) throw new Unwritable(error.message);
    throw error;
  }
}

/** Whether Node.js refuses to write it, which it says with a code; other errors are faults. */
function isRefusal(error: unknown): error is Error {
  return error instanceof Unwritable || String((error as NodeJS.ErrnoException).code).startsWith('ERR_');
}

function requestOptions({ headers: list, empty }: Http2Stream): RequestOptions {
  const headers: Record<string, string | string[]> = Object.create(null);
  const pseudo: Record<string, string> = {};
  let host = '';
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (name.startsWith(':')) pseudo[name] = value;
    else if (name === 'host') host = value;
    else if (!REQUEST_ONLY.has(name)) {
      const known = headers[name];
      if (Array.isArray(known)) known.push(value);
      else headers[name] = [value];
    }
  }
  headers.host = pseudo[':authority'] ?? host;
  if (!empty) headers['transfer-encoding'] = 'chunked';
  const method = pseudo[':method'] ?? 'GET';
  if (method === 'CONNECT') throw new Unwritable('this is no tunnel');
  return { method, path: pseudo[':path'] ?? '/', headers, setHost: false };
}

function responseHeaders(response: IncomingMessage): string[] {
  const kept = [':status', String(response.statusCode)];
  const fields = lowerCaseNames(response.rawHeaders);
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!RESPONSE_ONLY.has(name)) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}

function lowerCaseNames(fields: HeaderList): string[] {
  return fields.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text));
}
