/** Frames that come in pieces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameReader } from '../../src/http2/frame-reader.ts';
import * as raw from './support/raw-peer.ts';

test('a frame header that comes octet by octet is not read before it is whole', (t) => {
  // What a new buffer holds is left over from before: here, the length of a frame far over the limit.
  t.mock.method(Buffer, 'allocUnsafe', (size: number) => Buffer.alloc(size, 0xff));
  const seen: string[] = [];
  const sink = {
    stopped: false,
    frame: (type: number, flags: number, id: number, source: Buffer, start: number, end: number) =>
      seen.push(`${type} ${flags} ${id} ${source.toString('latin1', start, end)}`),
  };
  const reader = new FrameReader(sink, 16_384, false);
  const longest = 'x'.repeat(16_384);
  const bytes = Buffer.concat([raw.frame('DATA', 1, 3, Buffer.from(longest)), raw.frame('PING', 0, 0)]);
  for (const octet of bytes) reader.feed(Buffer.of(octet));
  assert.deepEqual(seen, [`0 1 3 ${longest}`, '6 0 0 ']);
  assert.equal(reader.incomplete, false);
});
