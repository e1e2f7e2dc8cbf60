/**
 * What the owners of connections and streams have to do with them: what they call, and what they implement to be told what
 * happens.
 */
import { ErrorCode, type Http2Error } from './errors.ts';
import type { HeaderList } from './hpack/header-block.ts';
import type { PingDone } from './pings.ts';
import type { Http2Settings, LimitName } from './settings.ts';

/** A stream of either role. After `onClose` every method is a no-op. */
export interface Http2Stream {
  /** The stream identifier. */
  readonly id: number;
  readonly connection: ConnectionHandle;
  /** Told what happens on this stream. */
  listener: StreamListener;
  /** Server role: the request's header fields. Client role: the response's, once they arrived. */
  readonly headers: HeaderList;
  /** True when the peer certainly did nothing for this stream, so that the request may be repeated (RFC 9113 section 8.7). */
  readonly unprocessed: boolean;
  /** True when we reset it because it was paused for too long while too much was kept for paused streams. */
  readonly tooSlow: boolean;
  /**
   * Server role, set by the owner: when the peer gives the stream up by its own announcement, in milliseconds of
   * `performance.now()`. That it is reset by then is no sign of an attack.
   */
  givenUpAt: number;
  /** True from just before `onClose`. */
  readonly closed: boolean;
  /** When it was opened, in milliseconds of `performance.now()`. */
  readonly openedAt: number;
  /** True once END_STREAM has arrived, delivered or not. */
  readonly endStreamReceived: boolean;
  /** True when END_STREAM has arrived and no content before it. */
  readonly empty: boolean;
  /** Octets given to `sendData` that wait for a window or the socket. */
  readonly queuedBytes: number;
  /** Sends a field block made by `encodeHeaders`: response header fields, interim or final. */
  sendHeaders(block: Uint8Array, endStream?: boolean): void;
  /**
   * Sends content, which is not copied and must not change. False asks to stop until `onDrain`; the
   * octets are taken all the same.
   */
  sendData(chunk: Uint8Array, endStream?: boolean): boolean;
  /** {@link sendData} for content in two parts, such as an envelope and a message that many streams share. */
  sendParts(head: Uint8Array, body: Uint8Array, endStream?: boolean): boolean;
  /** {@link sendParts}, but `head` is copied where it has to be kept, so that its owner can use it again. */
  sendJoined(head: Uint8Array, body: Uint8Array): boolean;
  /** Sends trailer fields, which end the stream, after all queued data. */
  sendTrailers(block: Uint8Array): void;
  /** Sends a whole response with content and trailers. */
  sendReply(headers: Uint8Array, data: Uint8Array, trailers: Uint8Array): void;
  /** Ends the stream at once with RST_STREAM (RFC 9113 section 6.4); queued data is dropped, `onClose` comes before this returns. */
  reset(code: number): void;
  /** Server role: so many octets of what arrived are no longer held; see `RequestIntake`. */
  release(octets: number): void;
  /** Server role: so many more octets are held for the request; false when it has to go for it. */
  charge(octets: number): boolean;
  /** Server role: so many more octets wait for somebody else than the client, or (negative) no longer. */
  hold(octets: number): void;
  /**
   * Server role: a message has come in what was delivered, one of perhaps thousands in a frame. It counts as a frame, or as so
   * many, where it is said how much of a client is handled in one turn of the event loop.
   */
  countMessage(frames: number): void;
  /** Stops delivery; what arrives is kept, and no window is given back, so that the peer stops too. */
  pause(): void;
  /** Goes on with delivery, at the end of this turn of the event loop if something was kept. */
  resume(): void;
}

/** Whether large replies should come now. */
export interface ReplyRoom {
  /** Whether no more waits in the streams than `connectionHighWaterMark` says. */
  readonly free: boolean;
  /** Calls back once, at the end of the first turn from this one on at which there is room; for one caller only. */
  whenFree(callback: () => void): void;
}

/** A connection of either role. */
export interface ConnectionHandle {
  readonly isServer: boolean;
  readonly settings: Http2Settings;
  /** True once the connection is of no more use; every stream is closed then. */
  readonly closed: boolean;
  /** Open streams of both sides, without those that `requestAside` has opened. */
  readonly openStreams: number;
  /** True once either side has sent GOAWAY: no new streams. */
  readonly draining: boolean;
  /** Client role: `request` will not throw. Once `draining` or `closed`, never again. */
  readonly canOpenStream: boolean;
  readonly room: ReplyRoom;
  /**
   * Client role: opens a stream with the request's field block.
   * @throws Http2Error REFUSED_STREAM unless {@link canOpenStream}
   */
  request(block: Uint8Array, listener: StreamListener, endStream: boolean): Http2Stream;
  /** Sends a PING; `done` is called once, with the round-trip time or the error that ended the connection. */
  ping(done: PingDone): void;
  /** Ends the connection gracefully: no new streams, GOAWAY, and close after the last stream (RFC 9113 section 6.8). */
  drain(): void;
  /** Ends the connection now, with GOAWAY; `debug` goes along with it. */
  destroy(code?: number, debug?: string): void;
  /** Ends the connection: more waits for the peer than may. */
  overrun(limit: LimitName): void;
}

/**
 * The owner of a stream: one object per stream, methods instead of closures. Calls come from inside the
 * connection's input handling, or from inside the stream's own methods (`onClose` from `reset`, say). An
 * exception resets the stream with INTERNAL_ERROR and is reported to {@link ConnectionListener.onFailure}.
 */
export interface StreamListener {
  /** Client role: the final response's header fields; interim (1xx) responses are skipped. */
  onHeaders(stream: Http2Stream, headers: HeaderList, endStream: boolean): void;
  /** Content; a slice of the buffer it was read into, never empty. */
  onData(stream: Http2Stream, chunk: Buffer): void;
  /** Trailer fields; `onEnd` follows. */
  onTrailers(stream: Http2Stream, headers: HeaderList): void;
  /**
   * The peer sent END_STREAM and everything before it was delivered. In the client role the stream stays
   * open until the request has ended too; an owner with nothing more to send resets it.
   */
  onEnd(stream: Http2Stream): void;
  /** `sendData` answered false, and the queue is now under the low-water mark. */
  onDrain(stream: Http2Stream): void;
  /**
   * Server role: too much is held for requests that are not complete, and this one has to go. The owner answers
   * at once, or returns true to do so soon; otherwise the stream is reset with ENHANCE_YOUR_CALM.
   */
  onTooMuch?(stream: Http2Stream): boolean;
  /**
   * Exactly once, last. `code` is NO_ERROR when both sides are done (a server that ends its response
   * before the request is over resets the rest of it, also with NO_ERROR, and is done), else the code of the RST_STREAM sent
   * (`local`) or received; when the connection is gone its error code, or CANCEL if that is NO_ERROR.
   */
  onClose(stream: Http2Stream, code: number, local: boolean): void;
}

/** The owner of a connection. No call comes before the constructor of the connection has returned. */
export interface ConnectionListener {
  /** Server role: a request's header fields are complete and valid. Must set `stream.listener` before it returns. */
  onStream(stream: Http2Stream): void;
  /**
   * Server role: whether the owner itself answers a request whose :path does not begin with a slash. Otherwise it is
   * malformed (RFC 9113 section 8.3.1).
   */
  takesOddPath?(headers: HeaderList): boolean;
  /** The peer's first SETTINGS frame arrived. */
  onReady(connection: ConnectionHandle): void;
  /** The peer sent GOAWAY (RFC 9113 section 6.8); streams above `lastStreamId` are closed as unprocessed after this. */
  onGoaway(connection: ConnectionHandle, lastStreamId: number, code: number, debug: Buffer): void;
  /** Client role: there are no identifiers for further streams, so that the connection drains by itself. */
  onSpent?(connection: ConnectionHandle): void;
  /** Client role: `canOpenStream` turned true again after a limit of streams was reached. */
  onStreamSlots(connection: ConnectionHandle): void;
  /**
   * Client role: a keepalive PING is about to be sent; false keeps it back until another interval has passed. `quiet`:
   * the peer has sent no HEADERS and no DATA since it answered the last one. Servers of gRPC count such PINGs.
   */
  onKeepalive?(connection: ConnectionHandle, quiet: boolean): boolean;
  /** Exactly once; all streams were closed before. No error when both sides were done with each other. */
  onClose(connection: ConnectionHandle, error: Http2Error | undefined): void;
  /** A bound was reached; what follows (a refused stream, a closed connection) depends on the bound. */
  onLimit?(connection: ConnectionHandle, limit: LimitName): void;
  /** A listener threw; without this method it becomes an uncaught exception. */
  onFailure?(connection: ConnectionHandle, failure: unknown): void;
}

function abandon(stream: Http2Stream): void {
  stream.reset(ErrorCode.INTERNAL_ERROR);
}

/** Stands in until the owner sets its listener; a stream without an owner is reset. */
export const NO_LISTENER: StreamListener = {
  onHeaders: abandon,
  onData: abandon,
  onTrailers: abandon,
  onEnd: abandon,
  onDrain: abandon,
  onClose: () => {},
};

const ignore = (): void => {};

/** Ignores a stream: one that was answered already, or of which nothing but its end matters. */
export const IGNORING: StreamListener = {
  onHeaders: ignore,
  onData: ignore,
  onTrailers: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onClose: ignore,
};
