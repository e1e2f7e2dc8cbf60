/** A socket without a kernel: input is pushed by the test, output is collected or thrown away. */
import type net from 'node:net';
import { Duplex } from 'node:stream';

/** As much of a `net.Socket` as the engine uses. */
export class MemorySocket extends Duplex {
  readonly connecting = false;
  readonly written: Buffer[] = [];
  private readonly collect: boolean;

  constructor(collect = false) {
    super({ allowHalfOpen: false, highWaterMark: 1 << 20 });
    this.collect = collect;
  }

  /** The same object, as the type the engine asks for. */
  get socket(): net.Socket {
    return this as unknown as net.Socket;
  }

  setNoDelay(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // The engine reuses its buffers once a write is done.
    if (this.collect) this.written.push(Buffer.from(chunk));
    done();
  }
}
