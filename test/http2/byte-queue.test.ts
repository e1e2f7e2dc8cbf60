/** The queue of bytes that wait for a window: against the plainest thing that does the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from '../../src/http2/byte-queue.ts';

/** Bytes that are all different from their neighbours, from a counter on. */
function numbered(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

const operation = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), length: fc.nat(40) }),
  fc.record({ kind: fc.constant('copy' as const), length: fc.nat(40) }),
  fc.record({ kind: fc.constant('take' as const), length: fc.nat(120) }),
);

test('what goes in comes out, in order, in pieces of any size', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const queue = new ByteQueue();
      let expected: number[] = [];
      let pushed = 0;
      for (const { kind, length } of operations) {
        if (kind === 'take') {
          const count = Math.min(length, queue.length);
          const taken: number[] = [];
          queue.take(count, { bytes: (part) => taken.push(...part) });
          assert.deepEqual(taken, expected.slice(0, count));
          expected = expected.slice(count);
        } else {
          const chunk = numbered(pushed, length);
          pushed += length;
          expected.push(...chunk);
          if (kind === 'push') queue.push(chunk);
          else {
            queue.pushCopy(chunk);
            chunk.fill(0);
          }
        }
        assert.equal(queue.length, expected.length);
      }
    }),
    { numRuns: 500 },
  );
});

test('thousands of chunks, several times over', () => {
  const queue = new ByteQueue();
  let taken = 0;
  const sink = {
    bytes: (part: Uint8Array) => {
      for (const byte of part) assert.equal(byte, taken++ & 0xff);
    },
  };
  let pushed = 0;
  for (const burst of [3000, 10, 3000, 1]) {
    for (let i = 0; i < burst; i++, pushed += 3) queue.push(numbered(pushed, 3));
    queue.take(queue.length - 2, sink);
  }
  queue.take(2, sink);
  assert.equal(taken, pushed);
});

test('a small slice of a large buffer does not keep it', () => {
  const queue = new ByteQueue();
  const large = new Uint8Array(1 << 16);
  queue.push(large.subarray(0, 100));
  large.fill(1);
  queue.take(100, { bytes: (part) => assert.deepEqual([...part], new Array(100).fill(0)) });
});
