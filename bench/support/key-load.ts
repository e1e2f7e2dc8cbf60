/**
 * Unary calls with a different message each, which h2load cannot send: frames are written and counted directly on the
 * sockets, so that the load costs little beside what it loads. It is no client: it reads no header and knows a reply by
 * its frames alone.
 */
import { connect, type Socket } from 'node:net';

/** What to send and how much of it. */
export interface KeyLoad {
  readonly path: string;
  /** Sent in turns. */
  readonly messages: readonly Uint8Array[];
  readonly requests: number;
  readonly connections: number;
  readonly streams: number;
  /** No reply is shorter than this, in bytes; one that is fails the load. */
  readonly minReply: number;
}

const Type = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const;
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const FRAME_HEAD = 9;
const WINDOW = 2 ** 31 - 1;
/** The connection's window is opened again after so many bytes. */
const REFILL = 64 << 20;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, FRAME_HEAD);
  return bytes;
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A header block without state: literals that are never indexed. */
function headerBlock(path: string, authority: string): Buffer {
  const literal = (name: number[], value: string): Buffer =>
    Buffer.from([...name, value.length, ...Buffer.from(value)]);
  const te = Buffer.from([0x00, 2, ...Buffer.from('te'), 8, ...Buffer.from('trailers')]);
  const [post, http] = [0x83, 0x86];
  return Buffer.concat([
    Buffer.from([post, http]),
    literal([0x04], path),
    literal([0x01], authority),
    literal([0x0f, 0x10], 'application/grpc'),
    te,
  ]);
}

/** One connection with its share of the calls. */
class Connection {
  readonly done = Promise.withResolvers<void>();
  readonly #socket: Socket;
  readonly #load: KeyLoad;
  readonly #head: Buffer;
  readonly #take: () => Uint8Array | undefined;
  readonly #sizes = new Map<number, number>();
  #stream = 1;
  #rest: Buffer = Buffer.alloc(0);
  #received = 0;
  #out: Buffer[] = [];

  constructor(address: string, load: KeyLoad, take: () => Uint8Array | undefined) {
    const [host, port] = address.split(':') as [string, string];
    this.#load = load;
    this.#take = take;
    this.#head = headerBlock(load.path, address);
    this.#socket = connect(Number(port), host);
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error) => this.done.reject(error));
    this.#socket.on('data', (chunk: Buffer) => this.#data(chunk));
    this.#socket.on('close', () => this.done.reject(new Error('connection closed')));
    this.#out.push(
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(Type.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(WINDOW)])),
      frame(Type.windowUpdate, 0, 0, number(WINDOW - 65_535)),
    );
    for (let i = 0; i < load.streams; i++) this.#next();
    this.#flush();
  }

  #next(): void {
    const message = this.#take();
    if (message === undefined) {
      if (this.#sizes.size > 0) return;
      this.done.resolve();
      this.#socket.destroy();
      return;
    }
    const stream = this.#stream;
    this.#stream += 2;
    this.#sizes.set(stream, 0);
    const envelope = Buffer.alloc(5 + message.length);
    envelope.writeUInt32BE(message.length, 1);
    envelope.set(message, 5);
    this.#out.push(
      frame(Type.headers, END_HEADERS, stream, this.#head),
      frame(Type.data, END_STREAM, stream, envelope),
    );
  }

  #data(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD) {
      const length = bytes.readUIntBE(at, 3);
      if (bytes.length - at - FRAME_HEAD < length) break;
      const payload = bytes.subarray(at + FRAME_HEAD, at + FRAME_HEAD + length);
      this.#frame(bytes[at + 3] as number, bytes[at + 4] as number, bytes.readUInt32BE(at + 5), payload);
      at += FRAME_HEAD + length;
    }
    this.#rest = bytes.subarray(at);
    this.#flush();
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === Type.data) {
      this.#sizes.set(stream, (this.#sizes.get(stream) ?? 0) + payload.length);
      this.#received += payload.length;
      if (this.#received >= REFILL) {
        this.#out.push(frame(Type.windowUpdate, 0, 0, number(this.#received)));
        this.#received = 0;
      }
    } else if (type === Type.settings && (flags & ACK) === 0)
      this.#out.push(frame(Type.settings, ACK, 0, Buffer.alloc(0)));
    else if (type === Type.ping && (flags & ACK) === 0) this.#out.push(frame(Type.ping, ACK, 0, payload));
    else if (type === Type.rstStream || type === Type.goaway)
      this.done.reject(new Error(`frame of type ${type}`));
    if ((type !== Type.data && type !== Type.headers) || (flags & END_STREAM) === 0) return;
    const size = this.#sizes.get(stream) ?? 0;
    this.#sizes.delete(stream);
    if (size < this.#load.minReply) this.done.reject(new Error(`a reply of ${size} bytes`));
    this.#next();
  }

  #flush(): void {
    if (this.#out.length === 0 || this.#socket.destroyed) return;
    this.#socket.write(Buffer.concat(this.#out));
    this.#out = [];
  }
}

/** Sends the load to `host:port` and returns requests a second. Fails when a single request fails. */
export async function keyLoad(address: string, load: KeyLoad): Promise<number> {
  let sent = 0;
  const take = (): Uint8Array | undefined =>
    sent < load.requests ? load.messages[sent++ % load.messages.length] : undefined;
  const began = performance.now();
  const connections = Array.from({ length: load.connections }, () => new Connection(address, load, take));
  await Promise.all(connections.map(({ done }) => done.promise));
  return load.requests / ((performance.now() - began) / 1000);
}
