/** Long messages handed on in parts, where somebody takes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chunks } from '../../src/grpc/chunks.ts';
import { Deframer, envelopeHead } from '../../src/grpc/envelope.ts';
import { MIB } from '../watch/scripted-hub.ts';

const LIMITS = { maxBytes: 4 * MIB, tooLarge: () => 'too large' };

/** Messages of these lengths behind their prefixes, each filled with its number. */
function stream(lengths: readonly number[]): Buffer {
  return Buffer.concat(lengths.flatMap((length, i) => [envelopeHead(length), Buffer.alloc(length, i)]));
}

/** What a sink gets of a stream in chunks of a size: each message, how many parts it came in, and the shortest but the last. */
function received(bytes: Buffer, chunk: number, inParts: boolean) {
  const messages: { number: number; length: number; parts: number; shortest: number }[] = [];
  let parts: Buffer[] = [];
  const take = (pieces: readonly Buffer[]): void => {
    const whole = Buffer.concat(pieces);
    assert.ok(
      whole.every((byte) => byte === whole[0]),
      'a byte of another message',
    );
    const shortest = Math.min(...pieces.slice(0, -1).map(({ length }) => length));
    messages.push({ number: whole[0] ?? 0, length: whole.length, parts: pieces.length, shortest });
  };
  const onPart = (part: Buffer, left: number): void => {
    parts.push(part);
    if (left > 0) return;
    take(parts);
    parts = [];
  };
  const deframer = new Deframer(LIMITS, undefined);
  const sink = {
    ...(inParts ? { parts: { onPart } } : {}),
    onMessage: (message: Uint8Array) => take([Buffer.from(message)]),
    onUnpacking: () => ({}),
    onUnpacked: () => {},
  };
  for (let at = 0; at < bytes.length; at += chunk) {
    const error = deframer.push(bytes.subarray(at, at + chunk), sink);
    if (error !== undefined) return { messages, error };
  }
  assert.ok(deframer.complete);
  return { messages, error: undefined };
}

test('long messages come in parts of 256 KiB and more, others whole', () => {
  const lengths = [10, MIB - 1, MIB, 0, 3 * MIB + 7];
  const bytes = stream(lengths);
  for (const chunk of [4, 1000, 16_384, 700_000, bytes.length]) {
    const { messages } = received(bytes, chunk, true);
    assert.deepEqual(
      messages.map(({ length }) => length),
      lengths,
    );
    for (const { length, parts, shortest } of messages) {
      assert.equal(parts > 1, length >= MIB && chunk < MIB, `${length} in chunks of ${chunk}`);
      assert.ok(shortest >= 256 << 10);
    }
  }
});

test('without somebody who takes parts all come whole', () => {
  const lengths = [5, 2 * MIB, 0];
  const { messages } = received(stream(lengths), 16_384, false);
  assert.deepEqual(
    messages.map(({ length, parts }) => [length, parts]),
    lengths.map((length) => [length, 1]),
  );
});

test('a message over the limit is refused by its prefix, also where it would come in parts', () => {
  const head = Buffer.concat([stream([3]), envelopeHead(4 * MIB + 1)]);
  const { messages, error } = received(head, head.length, true);
  assert.deepEqual([messages.length, error?.code, error?.cause], [1, 8, 'too-large']);
});

test('parts of a message that is not complete keep little more alive than they are', () => {
  for (const size of [10, 4096, 8000, 16_384]) {
    const chunks = new Chunks();
    for (const fill of [1, 2]) chunks.add(Buffer.alloc(64 << 10, fill).subarray(0, size));
    const { byteLength } = chunks.front(1).buffer;
    assert.ok(byteLength <= Math.max(4096, 5 * size), `${byteLength} bytes for ${size}`);
    assert.deepEqual(chunks.take(), Buffer.concat([Buffer.alloc(size, 1), Buffer.alloc(size, 2)]));
  }
});
