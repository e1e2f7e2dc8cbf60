/** Scenes of a scripted client and a server of the engine that answers with what it gets. */
import assert from 'node:assert/strict';
import { encodeHeaders, type Http2Settings, type Http2Stream } from '../../../src/http2/index.ts';
import { EngineServer, Exchange } from './exchange.ts';
import * as raw from './raw-peer.ts';

const { END_HEADERS, END_STREAM, frame } = raw;

/** A request's header fields, plain and encoded; a response's. */
export const POST_LIST = [':method', 'POST', ':scheme', 'http', ':path', '/x', ':authority', 'a'];
export const POST = encodeHeaders(POST_LIST);
export const OK = encodeHeaders([':status', '200']);
export const TRAILERS = encodeHeaders(['grpc-status', '0']);

/** Answers with what it got once it has everything. */
export class Answer extends Exchange {
  override onEnd(stream: Http2Stream): void {
    super.onEnd(stream);
    stream.sendReply(OK, this.body, TRAILERS);
  }
}

/** Gives a stream its {@link Answer}. */
export function answer(stream: Http2Stream): void {
  stream.listener = new Answer();
}

/** A request without content. */
export function post(id: number, flags = END_HEADERS): Buffer {
  return frame('HEADERS', flags, id, POST);
}

/** A request of these header fields, ended, on stream 1. */
export function list(...fields: string[]): Buffer {
  return frame('HEADERS', END_HEADERS | END_STREAM, 1, encodeHeaders(fields));
}

/** Starts a server, plays `script` with it, and checks that nothing was left over. */
export async function play(
  script: (peer: raw.RawPeer, server: EngineServer) => Promise<void>,
  given: Partial<Http2Settings> = {},
  onStream = answer,
  first?: Buffer,
): Promise<void> {
  await using server = new EngineServer(onStream, given);
  const peer = raw.rawClient(await server.listen(), first);
  await script(peer, server);
  peer.close();
  await server.owners[0]?.closed;
  assert.equal(server.connections[0]?.openStreams, 0);
  assert.deepEqual(server.owners[0]?.failures, []);
  for (const stream of server.owners[0]?.streams ?? []) {
    const events = (stream.listener as Exchange).events.filter((event) => event === 'close');
    assert.equal(events.length, 1, 'onClose exactly once');
  }
}

/** A request without content, ended. */
export function get(id: number): Buffer {
  return post(id, END_HEADERS | END_STREAM);
}

/** Answers each request with as many octets, filled with the stream's number. */
export function reply(octets: number): (stream: Http2Stream) => void {
  return (stream) => {
    stream.listener = new Exchange();
    stream.sendReply(OK, Buffer.alloc(octets, stream.id), TRAILERS);
  };
}

/** {@link play} for a client whose first frames, after the magic, are `first`. */
export async function withPeer(
  onStream: (stream: Http2Stream) => void,
  first: Buffer,
  script: (peer: raw.RawPeer, server: EngineServer) => Promise<void>,
  given: Partial<Http2Settings> = {},
): Promise<void> {
  await play(script, given, onStream, Buffer.concat([raw.MAGIC, first]));
}
