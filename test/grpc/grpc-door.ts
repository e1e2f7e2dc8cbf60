/** A gRPC door on a port of its own, behind which a test serves; its clients speak in frames. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { unknownMethod } from '../../src/etcd/methods.ts';
import { envelopeHead } from '../../src/grpc/envelope.ts';
import { GrpcServer } from '../../src/grpc/server.ts';
import { encodeHeaders } from '../../src/http2/index.ts';
import type { ServerStream, UnaryHandler } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import type { CallObserver } from '../../src/rpc/observer.ts';
import { EngineServer } from '../http2/support/exchange.ts';
import * as raw from '../http2/support/raw-peer.ts';

export const ignore = (): void => {};

/** Nobody is told of calls. */
export const UNOBSERVED: CallObserver = {
  ...{ onStarted: ignore, onReceived: ignore, onSent: ignore },
  ...{ onHandled: ignore, onMalformedReply: ignore, onFault: ignore },
};

/** The most octets of a frame. */
const FRAME = 16_384;

/** The header fields of a call whose messages may be compressed. */
export const callTo = (method: string): Uint8Array =>
  encodeHeaders([
    ...[':method', 'POST', ':scheme', 'http', ':path', `/test.Test/${method}`, ':authority', 'a'],
    ...['content-type', 'application/grpc', 'te', 'trailers', 'grpc-encoding', 'gzip'],
  ]);

/** The content of a stream in frames. @param flags those of the last one */
export function data(id: number, bytes: Buffer, flags = 0): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += FRAME) {
    const last = at + FRAME >= bytes.length;
    frames.push(raw.frame('DATA', last ? flags : 0, id, bytes.subarray(at, at + FRAME)));
  }
  return Buffer.concat(frames);
}

/** A message behind its prefix. */
export const plain = (message: Uint8Array): Buffer => Buffer.concat([envelopeHead(message.length), message]);

/** The same, compressed. */
export function packed(message: Uint8Array): Buffer {
  const bytes = plain(gzipSync(message));
  bytes[0] = 1;
  return bytes;
}

export abstract class GrpcDoor implements AsyncDisposable {
  readonly ledger = new Ledger(64 << 20);
  readonly #server: EngineServer;

  constructor(observer: CallObserver = UNOBSERVED) {
    const door = new GrpcServer({
      services: {
        method: unknownMethod,
        unary: (path) => this.unary(path),
        stream: () => (stream) => this.serve(stream),
      },
      receive: { maxBytes: 8 << 20, tooLarge: () => 'too large' },
      observer,
    });
    this.#server = new EngineServer((stream) => door.accept(stream), {}, this.ledger);
  }

  /** Serves a stream. */
  protected abstract serve(stream: ServerStream): void;

  /** What serves unary calls of a path; undefined: they are streams. */
  protected unary(_path: string): UnaryHandler | undefined {
    return undefined;
  }

  /** A client that has been greeted. */
  async begin(): Promise<raw.RawPeer> {
    const peer = raw.rawClient(await this.#server.listen());
    assert.ok(await peer.settled());
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    assert.equal(this.ledger.held, 0);
  }
}
