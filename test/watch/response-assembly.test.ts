/** Responses of etcd that come in parts. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { MalformedMessage } from '../../src/etcd/scanner.ts';
import { readResponse, type WatchResponse } from '../../src/etcd/watch-response.ts';
import { Code } from '../../src/rpc/status.ts';
import { AssemblyBounds, ResponseAssembly } from '../../src/watch/response-assembly.ts';
import { b } from '../support/watch-client.ts';
import { response } from './responses.ts';
import { KIB } from './scripted-hub.ts';

let bounds: AssemblyBounds;
/** How often a bound was reached. */
let full: number;

beforeEach(() => {
  full = 0;
  bounds = new AssemblyBounds({ one: 64 * KIB, all: 256 * KIB, revision: 200 * KIB }, () => full++);
});

/** An assembly, and what it has handed on. */
function assembly(): { readonly of: ResponseAssembly; readonly got: WatchResponse[] } {
  const got: WatchResponse[] = [];
  return { of: new ResponseAssembly(bounds, (each) => got.push(each)), got };
}

/** Gives a message in parts of these sizes, over and over. */
function inParts(of: ResponseAssembly, message: Uint8Array, ...sizes: number[]): void {
  for (let at = 0, i = 0; at < message.length; i++) {
    const end = Math.min(message.length, at + (sizes[i % sizes.length] as number));
    of.onPart(Buffer.from(message.subarray(at, end)), message.length - end);
    at = end;
  }
}

/** What is in a response, by value. */
const plain = ({ header, watchId, fragment, events }: WatchResponse) => ({
  revision: header.revision,
  watchId,
  fragment,
  events: events.map(({ source, start, end, prevStart, prevEnd, key, revision, isDelete }) => ({
    bytes: source.toString('latin1', start, end),
    prev: source.toString('latin1', prevStart, prevEnd),
    key,
    revision,
    isDelete,
  })),
});

/** Bytes of the events of each response. */
const bytes = (got: readonly WatchResponse[]): number[] =>
  got.map(({ events }) => events.reduce((sum, { start, end }) => sum + end - start, 0));

const sizes = (got: readonly WatchResponse[]): number[] => got.map(({ size }) => size);

const revisions = (got: readonly WatchResponse[]): number[][] =>
  got.map(({ events }) => events.map(({ revision }) => revision));

/** A response with one event of this size for each revision. */
function long(revisions: readonly number[], size: number, fragment = false): Uint8Array {
  const events = revisions.map((revision) => ({
    kv: { key: b('k'), modRevision: BigInt(revision), value: new Uint8Array(size) },
  }));
  return toBinary(
    WatchResponseSchema,
    create(WatchResponseSchema, { header: { revision: 99n }, fragment, events }),
  );
}

describe('a response that comes in parts', () => {
  test('is what it would be as a whole, wherever it is cut', () => {
    const message = response([1, 2, 2, 3, 300, 70_000], 700);
    for (const sizes of [[1], [2, 3], [7, 1, 900], [4096], [message.length - 1], [message.length]]) {
      const { of, got } = assembly();
      inParts(of, message, ...sizes);
      assert.deepEqual(got.map(plain), [plain(readResponse(message))], `parts of ${sizes}`);
      assert.equal(bounds.bytes, 0);
      of.onMessage(message);
      assert.equal(got.length, 2);
    }
  });

  test('that is no message is refused', () => {
    const message = response([1, 2, 3], 100);
    for (const broken of [message.subarray(0, -1), Buffer.concat([message, Buffer.of(0x0b, 0, 0)])]) {
      const { of, got } = assembly();
      assert.throws(() => inParts(of, broken, 50), MalformedMessage);
      assert.deepEqual(got, []);
    }
  });

  test('is one again up to its bound', () => {
    const { of, got } = assembly();
    inParts(of, long([1, 2, 3, 4], 15 * KIB), 256);
    assert.deepEqual([revisions(got), full, bounds.bytes], [[[1, 2, 3, 4]], 0, 0]);
  });

  test('goes on in whole revisions beyond that', () => {
    const { of, got } = assembly();
    inParts(of, long([1, 2, 2, 2, 3, 4, 4], 20 * KIB), 256);
    assert.deepEqual(revisions(got), [[1], [2, 2, 2], [3, 4, 4]]);
    assert.deepEqual(
      got.map(({ fragment, header }) => [fragment, header.revision]),
      [
        [true, 99],
        [true, 99],
        [false, 99],
      ],
    );
    assert.deepEqual([full, bounds.bytes], [2, 0]);
  });

  test('of one revision is one, up to the bound for a revision', () => {
    const { of, got } = assembly();
    inParts(of, long([5, 5, 5, 5, 5, 5], 30 * KIB), 256);
    assert.deepEqual([revisions(got), full], [[[5, 5, 5, 5, 5, 5]], 0]);
    const tooLarge = long([5, 5, 5, 5, 5, 5, 5, 5], 30 * KIB);
    assert.throws(() => inParts(of, tooLarge, 256), {
      code: Code.RESOURCE_EXHAUSTED,
      message: /^grpc: received message larger than max \(\d+ vs\. 204800\)$/,
    });
    of.drop();
    assert.deepEqual([got.length, bounds.bytes], [1, 0]);
  });

  test('goes on earlier while all of them together hold as much as they may', () => {
    const others = Array.from({ length: 5 }, () => assembly());
    const parts = long([1, 1, 1], 20 * KIB, true);
    for (const { of } of others) of.onMessage(parts);
    const { of, got } = assembly();
    of.onMessage(long([1, 2], 10, true));
    assert.deepEqual(revisions(got), [[1]]);
    for (const each of others) each.of.drop();
    of.onMessage(long([3], 10, true));
    of.onMessage(long([4], 10));
    assert.deepEqual([revisions(got), bounds.bytes], [[[1], [2, 3, 4]], 0]);
  });
});

test('fragments are one response again', () => {
  const { of, got } = assembly();
  of.onMessage(long([1, 2], 10, true));
  inParts(of, long([2, 3], 10, true), 20);
  assert.deepEqual(got, []);
  of.onMessage(long([3], 10));
  of.onMessage(long([4], 10));
  assert.deepEqual(revisions(got), [[1, 2, 2, 3, 3], [4]]);
  assert.ok(got.every(({ fragment }) => !fragment));
});

test('the size of what was put together is that of the events that are handed on with it', () => {
  const parts = assembly();
  inParts(parts.of, long([1, 2, 2, 2, 3, 4, 4], 20 * KIB), 256);
  assert.equal(parts.got.length, 3);
  assert.deepEqual(sizes(parts.got), bytes(parts.got));
  const fragments = assembly();
  for (const more of [true, true, true, false]) fragments.of.onMessage(long([1, 2], 10 * KIB, more));
  fragments.of.onMessage(long([3], 10));
  const [whole, next] = sizes(fragments.got);
  assert.ok((whole ?? 0) > 80 * KIB);
  assert.deepEqual([whole, next], [bytes(fragments.got)[0], long([3], 10).length]);
});
