/**
 * What hostile clients send, for as long as they are let: the floods, bombs and delays that the engine's bounds are
 * for, each as the bytes of one connection. Tests look at memory, `bench/attacks.ts` at everybody else's latency.
 */
import { ErrorCode, encodeHeaders } from '../../../src/http2/index.ts';
import * as raw from './raw-peer.ts';

const { END_HEADERS, END_STREAM, frame, settings, u32 } = raw;

/** A hostile client. */
export interface Attack {
  readonly name: string;
  /** The code of GOAWAY that ends it; undefined where it is tolerated, because it costs next to nothing. */
  readonly code: number | undefined;
  /** What it sends the `round`-th time, from 0 on; empty when it has nothing more to say. */
  readonly send: (round: number) => Buffer;
  /** It reads nothing. */
  readonly deaf?: boolean;
  /** Milliseconds between rounds; otherwise it sends as fast as its socket takes it. */
  readonly pauseMs?: number;
  /** Connections at a time, where it takes more than a few. */
  readonly connections?: number;
}

/** A call that any gRPC server takes for real: a linearizable read of a key, `k`. */
const CALL = encodeHeaders([
  ...[':method', 'POST', ':scheme', 'http', ':path', '/etcdserverpb.KV/Range', ':authority', 'a'],
  ...['content-type', 'application/grpc', 'te', 'trailers'],
]);
const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x6b]);
const BATCH = 200;

const NOTHING = Buffer.alloc(0);

/** Frames of a batch, made anew for the stream identifiers of each round. */
function streams(round: number, each: (id: number) => Buffer[]): Buffer {
  const frames: Buffer[] = [];
  for (let i = 0; i < BATCH; i++) frames.push(...each(2 * (round * BATCH + i) + 1));
  return Buffer.concat(frames);
}

function repeated(bytes: Buffer): () => Buffer {
  const many = Buffer.concat(Array.from({ length: 1000 }, () => bytes));
  return () => many;
}

/** Opens a call, once, and then sends these bytes for ever. */
function afterHeaders(flags: number, bytes: Buffer): (round: number) => Buffer {
  const flood = repeated(bytes);
  return (round) => (round === 0 ? Buffer.concat([frame('HEADERS', flags, 1, CALL), flood()]) : flood());
}

/** One field put into the dynamic table and named a thousand times: 4 MB from 4 kB. */
function hpackBomb(): Buffer {
  const value = Buffer.from('v'.repeat(3000));
  const insert = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xb9, 0x16]), value]);
  return frame('HEADERS', END_HEADERS, 1, Buffer.concat([insert, Buffer.alloc(1000, 0xbe)]));
}

const read = (id: number): Buffer[] => [
  frame('HEADERS', END_HEADERS, id, CALL),
  frame('DATA', END_STREAM, id, MESSAGE),
];

/** Every attack. */
export const ATTACKS: readonly Attack[] = [
  {
    name: 'rapid reset',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: (round) =>
      streams(round, (id) => [frame('HEADERS', END_HEADERS, id, CALL), frame('RST_STREAM', 0, id, u32(8))]),
  },
  {
    name: 'rapid reset of whole calls',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: (round) => streams(round, (id) => [...read(id), frame('RST_STREAM', 0, id, u32(8))]),
  },
  {
    name: 'streams that must be reset',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: (round) => streams(round, (id) => [...read(id), frame('WINDOW_UPDATE', 0, id, u32(0))]),
  },
  {
    name: 'CONTINUATION flood',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: afterHeaders(0, frame('CONTINUATION', 0, 1, [])),
  },
  {
    name: 'SETTINGS flood',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: repeated(settings([4, 65_535])),
  },
  {
    name: 'PING flood',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: repeated(frame('PING', 0, 0, Buffer.alloc(8))),
  },
  {
    name: 'empty DATA flood',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: afterHeaders(END_HEADERS, frame('DATA', 0, 1)),
  },
  {
    name: 'HPACK bomb',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: hpackBomb,
  },
  {
    name: 'window overflow',
    code: ErrorCode.FLOW_CONTROL_ERROR,
    send: repeated(frame('WINDOW_UPDATE', 0, 0, u32(0x7fffffff))),
  },
  {
    name: 'PINGs whose answers are not read',
    code: ErrorCode.ENHANCE_YOUR_CALM,
    send: repeated(frame('PING', 0, 0, Buffer.alloc(8))),
    deaf: true,
  },
  {
    name: 'slow-loris',
    code: undefined, // cut off after `headersTimeoutMs`
    send: (round) => (round === 0 ? frame('HEADERS', 0, 1, CALL) : frame('CONTINUATION', 0, 1, [])),
    pauseMs: 1000,
    connections: 1000,
  },
  {
    name: 'half a frame, and no more',
    code: undefined, // cut off after `headersTimeoutMs`
    send: (round) => (round === 0 ? frame('DATA', 0, 1, Buffer.alloc(16_384)).subarray(0, 16_000) : NOTHING),
    pauseMs: 1000,
    connections: 1000,
  },
];

/** The attack of a name. */
export function attackNamed(name: string): Attack {
  const found = ATTACKS.find((attack) => attack.name === name);
  if (found === undefined) throw new Error(`no attack ${name}`);
  return found;
}
