/** What the owners of connections and streams implement to be told what happens. */
import type { Http2Connection } from './connection.ts';
import { ErrorCode, type Http2Error } from './errors.ts';
import type { HeaderList } from './hpack/header-block.ts';
import type { LimitName } from './settings.ts';
import type { Http2Stream } from './stream.ts';

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
  onReady(connection: Http2Connection): void;
  /** The peer sent GOAWAY (RFC 9113 section 6.8); streams above `lastStreamId` are closed as unprocessed after this. */
  onGoaway(connection: Http2Connection, lastStreamId: number, code: number, debug: Buffer): void;
  /** Client role: `canOpenStream` turned true again after a limit of streams was reached. */
  onStreamSlots(connection: Http2Connection): void;
  /**
   * Client role: a keepalive PING is about to be sent; false keeps it back until another interval has passed. `quiet`:
   * the peer has sent no HEADERS and no DATA since it answered the last one. Servers of gRPC count such PINGs.
   */
  onKeepalive?(connection: Http2Connection, quiet: boolean): boolean;
  /** Exactly once; all streams were closed before. No error when both sides were done with each other. */
  onClose(connection: Http2Connection, error: Http2Error | undefined): void;
  /** A bound was reached; what follows (a refused stream, a closed connection) depends on the bound. */
  onLimit?(connection: Http2Connection, limit: LimitName): void;
  /** A listener threw; without this method it becomes an uncaught exception. */
  onFailure?(connection: Http2Connection, failure: unknown): void;
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
