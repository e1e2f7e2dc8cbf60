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
  /** Connections at a time, where it takes more than a few, or just one. */
  readonly connections?: number;
  /** For so many milliseconds at its beginning etcd stands still. */
  readonly stallMs?: number;
}

const CALL_FIELDS = [
  ...[':method', 'POST', ':scheme', 'http', ':path', '/etcdserverpb.KV/Range', ':authority', 'a'],
  ...['content-type', 'application/grpc', 'te', 'trailers'],
];
/** A call that any gRPC server takes for real: a linearizable read of a key, `k`. */
const CALL = encodeHeaders(CALL_FIELDS);
const SHORT_CALL = encodeHeaders([...CALL_FIELDS, 'grpc-timeout', '500m']);
const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x6b]);
const BATCH = 200;

const NOTHING = Buffer.alloc(0);

/** Frames of a batch, made anew for the stream identifiers of each round. */
function streams(round: number, each: (id: number) => Buffer[], batch = BATCH): Buffer {
  const frames: Buffer[] = [];
  for (let i = 0; round >= 0 && i < batch; i++) frames.push(...each(2 * (round * batch + i) + 1));
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

const read = (id: number, call: Uint8Array = CALL): Buffer[] => [
  frame('HEADERS', END_HEADERS, id, call),
  frame('DATA', END_STREAM, id, MESSAGE),
];
const cancel = (id: number): Buffer => frame('RST_STREAM', 0, id, u32(8));

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
    code: undefined, // cut off after `frameTimeoutMs`
    send: (round) => (round === 0 ? frame('DATA', 0, 1, Buffer.alloc(16_384)).subarray(0, 16_000) : NOTHING),
    pauseMs: 1000,
    connections: 1000,
  },
];

/** What honest clients do that give up, while etcd stands still and afterwards. They must not be cut off. */
export const IMPATIENT: readonly Attack[] = [
  {
    name: '900 gets a second, each given up after 0.2 s',
    code: undefined,
    send: (round) =>
      Buffer.concat([streams(round, (id) => read(id), 90), streams(round - 2, (id) => [cancel(id)], 90)]),
    pauseMs: 100,
    connections: 1,
    stallMs: 8000,
  },
  {
    name: '4 000 gets at once with deadlines of 0.5 s',
    code: undefined,
    send: (round) =>
      Buffer.concat([
        streams(round - 1, (id) => [cancel(id)], 4000),
        streams(round, (id) => read(id, SHORT_CALL), 4000),
      ]),
    pauseMs: 490,
    connections: 1,
    stallMs: 4000,
  },
];

/** The attack of a name. */
export function attackNamed(name: string): Attack {
  const found = [...ATTACKS, ...IMPATIENT].find((attack) => attack.name === name);
  if (found === undefined) throw new Error(`no attack ${name}`);
  return found;
}
