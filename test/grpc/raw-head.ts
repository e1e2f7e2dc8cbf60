/** One gRPC call written as raw HTTP/2 frames, so that its headers can be anything, and what came back. */
import net from 'node:net';
import { HpackDecoder } from '../../src/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../src/http2/index.ts';
import * as raw from '../http2/support/raw-peer.ts';

/** Header fields by name; `undefined` leaves one out that every call has otherwise. */
export type Fields = Readonly<Record<string, string | undefined>>;

/** How a call was answered. */
export interface RawAnswer {
  /** Header fields and trailers together. */
  readonly fields: Readonly<Record<string, string>>;
  /** The content, in latin1. */
  readonly body: string;
  /** The code that the stream was reset with, if it was. */
  readonly reset: number | undefined;
}

const LIMIT_MS = 20_000;

/** A read of the key `a`. */
const READ = Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x61]);

const USUAL: Fields = {
  ':method': 'POST',
  ':scheme': 'http',
  ':path': '/etcdserverpb.KV/Range',
  ':authority': 'a',
  'content-type': 'application/grpc',
  te: 'trailers',
};

/** Makes the call on a connection of its own, with some fields other than usual. */
export async function askRaw(address: string, changed: Fields): Promise<RawAnswer> {
  const socket = net.connect(Number(address.split(':')[1]), '127.0.0.1');
  const timer = setTimeout(() => socket.destroy(), LIMIT_MS);
  try {
    const peer = new raw.RawPeer(socket);
    peer.send(
      raw.MAGIC,
      raw.settings(),
      raw.frame('HEADERS', raw.END_HEADERS, 1, encodeHeaders(listOf({ ...USUAL, ...changed }))),
      raw.frame('DATA', raw.END_STREAM, 1, READ),
    );
    return await answerOf(peer);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** Pseudo-header fields come first. */
function listOf(fields: Fields): string[] {
  const given = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  const pseudo = given.filter(([name]) => name?.startsWith(':'));
  return [...pseudo, ...given.filter((field) => !pseudo.includes(field))].flat();
}

async function answerOf(peer: raw.RawPeer): Promise<RawAnswer> {
  const decoder = new HpackDecoder(4096, 1 << 20);
  const fields: Record<string, string> = {};
  let body = '';
  for (;;) {
    const frame = await peer.next(({ id }) => id === 1);
    if (frame === undefined) throw new Error('the connection ended before the answer did');
    if (frame.type === 'RST_STREAM') return { fields, body, reset: frame.payload.readUInt32BE(0) };
    if (frame.type === 'DATA') body += frame.payload.toString('latin1');
    if (frame.type === 'HEADERS') {
      const { list } = decoder.decode(frame.payload, 0, frame.payload.length);
      for (let i = 0; i < list.length; i += 2) fields[list[i] as string] = list[i + 1] as string;
    }
    if ((frame.flags & raw.END_STREAM) !== 0 && frame.type !== 'WINDOW_UPDATE')
      return { fields, body, reset: undefined };
  }
}
