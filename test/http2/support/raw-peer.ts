/**
 * A scripted peer on a raw socket: sends any bytes, and lets a test wait for frames. Independent of the engine's code. What
 * no peer may send, whatever it was sent, fails the test.
 */
import assert from 'node:assert/strict';
import net from 'node:net';

/** One frame that was received. */
export interface Frame {
  readonly type: string;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

const TYPES = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const PRIORITY = 0x20;

/** The bytes of a frame. */
export function frame(
  type: string | number,
  flags: number,
  id: number,
  payload: Uint8Array | number[] = [],
): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = typeof type === 'number' ? type : TYPES.indexOf(type);
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, body]);
}

/** 32 bits in network order. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A SETTINGS frame. */
export function settings(...pairs: [number, number][]): Buffer {
  const body = Buffer.alloc(6 * pairs.length);
  pairs.forEach(([id, value], i) => {
    body.writeUInt16BE(id, 6 * i);
    body.writeUInt32BE(value, 6 * i + 2);
  });
  return frame('SETTINGS', 0, 0, body);
}

export const MAGIC: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Cuts bytes into frames; used on everything a peer receives. */
export function parseFrames(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= 9) {
    const length = bytes.readUIntBE(at, 3);
    if (bytes.length - at < 9 + length) break;
    const type = TYPES[bytes[at + 3] as number] ?? `type ${bytes[at + 3]}`;
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({ type, flags: bytes[at + 4] as number, id: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return { frames, rest: bytes.subarray(at) };
}

/** The scripted end of a connection. */
export class RawPeer {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  ended = false;
  private rest: Buffer;
  private cursor = 0;
  private wakeUp: () => void = () => {};
  private skip: number;

  /** @param skip octets to drop first: the magic of an engine in client role */
  constructor(socket: net.Socket, skip = 0) {
    this.socket = socket;
    this.skip = skip;
    this.rest = Buffer.alloc(0);
    socket.on('error', () => this.finish());
    socket.on('close', () => this.finish());
    socket.on('end', () => this.finish());
    socket.on('data', (chunk: Buffer) => this.take(chunk));
  }

  send(...parts: Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  /** The next frame that `wanted` accepts, skipping others; undefined when the connection ends first. */
  async next(wanted: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      while (this.cursor < this.frames.length) {
        const found = this.frames[this.cursor++] as Frame;
        if (wanted(found)) return found;
      }
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => {
        this.wakeUp = resolve;
      });
    }
  }

  /** The next frame of a type, on a stream if given. */
  async nextOf(type: string, id?: number): Promise<Frame | undefined> {
    return await this.next((f) => f.type === type && (id === undefined || f.id === id));
  }

  /** Resolves when a PING round trip is done: all that was sent before has been handled. */
  async settled(): Promise<boolean> {
    const mark = Buffer.from(`mark${String(this.frames.length).padStart(4, '0').slice(-4)}`);
    this.send(frame('PING', 0, 0, mark));
    return (
      (await this.next((f) => f.type === 'PING' && f.flags === ACK && f.payload.equals(mark))) !== undefined
    );
  }

  /** The code of the GOAWAY that ends the connection; -1 without one. */
  async goaway(): Promise<number> {
    const found = await this.nextOf('GOAWAY');
    return found === undefined ? -1 : found.payload.readUInt32BE(4);
  }

  /** The code of the RST_STREAM of a stream; -1 when the connection ends before it, with GOAWAY's code. */
  async reset(id: number): Promise<number> {
    const found = await this.next((f) => (f.type === 'RST_STREAM' && f.id === id) || f.type === 'GOAWAY');
    if (found === undefined) return -1;
    return found.type === 'GOAWAY' ? found.payload.readUInt32BE(4) : found.payload.readUInt32BE(0);
  }

  async closed(): Promise<void> {
    await this.next(() => false);
  }

  close(): void {
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    const from = Math.min(this.skip, chunk.length);
    this.skip -= from;
    const { frames, rest } = parseFrames(Buffer.concat([this.rest, chunk.subarray(from)]));
    for (const { type, id, payload } of frames)
      if (type === 'WINDOW_UPDATE') checkIncrement(id, payload.readUInt32BE(0));
    this.frames.push(...frames);
    this.rest = rest;
    this.wakeUp();
  }

  private finish(): void {
    this.ended = true;
    this.wakeUp();
  }
}

/** RFC 9113 section 6.9: from 1 to 2^31 - 1. */
function checkIncrement(id: number, increment: number): void {
  assert.ok(increment > 0 && increment <= 0x7fffffff, `WINDOW_UPDATE of ${increment} on stream ${id}`);
}

/** A raw client of a server on this port, with the connection preface already sent. */
export function rawClient(port: number, first: Buffer = Buffer.concat([MAGIC, settings()])): RawPeer {
  const peer = new RawPeer(net.connect(port, '127.0.0.1'));
  if (first.length > 0) peer.send(first);
  return peer;
}
