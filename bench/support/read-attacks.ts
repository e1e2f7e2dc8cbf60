/**
 * Attacks whose requests are small and legal, and whose work is not: reads over a large prefix, which ours holds in memory,
 * and messages that are large once they are unpacked.
 */
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema, type TxnRequest, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { encodeHeaders } from '../../src/http2/index.ts';
import type { Attack } from '../../test/http2/support/attacks.ts';
import * as raw from '../../test/http2/support/raw-peer.ts';
import { lightClientOf } from '../../test/reads/clients.ts';
import { envelope } from '../../test/streams/raw-stream.ts';
import { b } from '../../test/support/watch-client.ts';

/** The prefix that is read, and its keys. */
export const PREFIX = 'bench/many/';
const PREFIX_END = 'bench/many0';
const KEYS = 20_000;

/** Fills the prefix. */
export async function fillPrefix(address: string): Promise<void> {
  await using held = new AsyncDisposableStack();
  const client = lightClientOf(address, held);
  for (let at = 0; at < KEYS; at += 100) {
    const puts = Array.from({ length: 100 }, (_, i) => {
      const put = { key: b(`${PREFIX}${String(at + i).padStart(7, '0')}`), value: b('v'.repeat(500)) };
      return { request: { case: 'requestPut' as const, value: put } };
    });
    await client.txn({ success: puts });
  }
}

/** Whole calls, ten in a round. */
function calls(method: string, message: (call: number) => Buffer, gzip = false): Attack['send'] {
  const block = encodeHeaders([
    ...[':method', 'POST', ':scheme', 'http', ':path', `/etcdserverpb.KV/${method}`, ':authority', 'a'],
    ...['content-type', 'application/grpc', 'te', 'trailers', ...(gzip ? ['grpc-encoding', 'gzip'] : [])],
  ]);
  return (round) => {
    const frames: Buffer[] = [];
    for (let i = 10 * round; i < 10 * round + 10; i++) {
      frames.push(raw.frame('HEADERS', raw.END_HEADERS, 2 * i + 1, block));
      frames.push(raw.frame('DATA', raw.END_STREAM, 2 * i + 1, message(i)));
    }
    return Buffer.concat(frames);
  };
}

const comparison = {
  ...{ key: b(PREFIX), rangeEnd: b(PREFIX_END), result: 3, target: 3 },
  targetUnion: { case: 'value', value: b('none') },
};
const comparisons = { compare: Array.from({ length: 128 }, () => comparison) } as unknown as TxnRequest;
/** A small Txn that looks at every key many times. */
export const COMPARISONS: Uint8Array = toBinary(TxnRequestSchema, create(TxnRequestSchema, comparisons));
const txn = envelope(COMPARISONS);

const list = (n: number): Buffer => {
  const fields = { key: b(PREFIX), rangeEnd: b(PREFIX_END), limit: BigInt(KEYS + 1 + n) };
  return envelope(toBinary(RangeRequestSchema, create(RangeRequestSchema, fields)));
};

/** Refused by everybody, once it is unpacked. */
const bomb = envelope(gzipSync(Buffer.alloc(1_600_000)));
bomb[0] = 1;

/** Every one of them. */
export const READ_ATTACKS: readonly Attack[] = [
  { name: '128 comparisons over many keys', code: undefined, send: calls('Txn', () => txn), pauseMs: 1000 },
  {
    name: 'large lists that are not read',
    code: undefined,
    send: calls('Range', list),
    deaf: true,
    pauseMs: 200,
  },
  { name: 'packed messages', code: undefined, send: calls('Range', () => bomb, true), pauseMs: 10 },
];
