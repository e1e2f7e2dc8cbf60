/** The output's buffers: nothing that a socket still holds is written over, and one turn is one write. */
import assert from 'node:assert/strict';
import type net from 'node:net';
import { test } from 'node:test';
import { FrameType } from '../../src/http2/frame.ts';
import { Output } from '../../src/http2/output.ts';
import { SLAB_SIZE, takeSlab } from '../../src/http2/slab-pool.ts';

/** A socket that holds what it is given, by reference, until it is told to write. */
class SlowSocket {
  writableLength = 0;
  /** Number of writes, a corked group counting as one. */
  writes = 0;
  private readonly held: { chunk: Uint8Array; done: (() => void) | undefined }[] = [];
  private corked = false;

  /** What is written next. */
  get oldest(): Uint8Array | undefined {
    return this.held[0]?.chunk;
  }

  cork(): void {
    this.corked = true;
    this.writes++;
  }

  uncork(): void {
    this.corked = false;
  }

  write(chunk: Uint8Array, done?: () => void): boolean {
    if (!this.corked) this.writes++;
    this.writableLength += chunk.length;
    this.held.push({ chunk, done });
    return true;
  }

  /** Writes the oldest chunk; its octets are read only now. */
  writeOne(): Buffer {
    const oldest = this.held.shift();
    if (oldest === undefined) return Buffer.alloc(0);
    const octets = Buffer.from(oldest.chunk);
    this.writableLength -= octets.length;
    oldest.done?.();
    return octets;
  }
}

function start(): { socket: SlowSocket; output: Output } {
  const socket = new SlowSocket();
  return { socket, output: new Output(socket as unknown as net.Socket, { onOutputWritten() {} }) };
}

test('frames of one turn, small and large, go out in one write and in order', () => {
  const { socket, output } = start();
  const expected: Buffer[] = [];
  for (const size of [10, 5000, 2048, 2049, 0, 16_000, 1]) {
    const part = Buffer.alloc(size, size % 251);
    output.bytes(part);
    expected.push(part);
  }
  output.flush();
  assert.equal(socket.writes, 1);
  const parts: Buffer[] = [];
  while (socket.writableLength > 0) parts.push(socket.writeOne());
  assert.deepEqual(Buffer.concat(parts), Buffer.concat(expected));
});

test('what a slow socket holds is not written over', () => {
  const { socket, output } = start();
  const other = start();
  const expected: Buffer[] = [];
  const parts: Buffer[] = [];
  for (let turn = 0; turn < 200; turn++) {
    for (let i = 0; i <= turn % 7; i++) {
      const part = Buffer.alloc((turn * 37 + i * 401) % 2040, turn);
      output.bytes(part);
      expected.push(part);
    }
    output.flush();
    // Another connection takes buffers from the same pool, and gives them back at once.
    other.output.bytes(Buffer.alloc(2000, 255));
    other.output.flush();
    other.socket.writeOne();
    if (turn % 3 > 0) parts.push(socket.writeOne());
  }
  while (socket.writableLength > 0) parts.push(socket.writeOne());
  assert.ok(Buffer.concat(parts).equals(Buffer.concat(expected)));
});

test('a buffer is free for others as soon as the socket has written all of it, and not before', () => {
  const { socket, output } = start();
  output.number(FrameType.RST_STREAM, 1, 8);
  output.flush();
  const slab = (socket.oldest as Uint8Array).buffer;
  const before = takeSlab();
  assert.notEqual(before.buffer, slab);
  socket.writeOne();
  const after = takeSlab();
  assert.equal(after.buffer, slab);
  assert.equal(after.length, SLAB_SIZE);
});

test('a socket that always has something left to write keeps no more than that', () => {
  const { socket, output } = start();
  const buffers = new Set<ArrayBufferLike>();
  for (let turn = 0; turn < 1000; turn++) {
    output.bytes(Buffer.alloc(2000, turn));
    output.flush();
    if (turn > 0) assert.deepEqual(socket.writeOne(), Buffer.alloc(2000, turn - 1));
    buffers.add((socket.oldest as Uint8Array).buffer);
  }
  assert.ok(buffers.size <= 3, `${buffers.size} buffers for two that are in use at a time`);
});
