/**
 * The calls to a stream's listener. Whatever a listener throws stays here: its stream is reset, the
 * failure is reported, and the connection goes on.
 */
import { ErrorCode } from './errors.ts';
import type { HeaderList } from './hpack/header-block.ts';
import { type ConnectionHandle, type ConnectionListener, type Http2Stream, NO_LISTENER } from './listener.ts';
import type { Reports } from './reports.ts';

/** The connection of a stream that is told something. */
export interface NotifiedConnection extends ConnectionHandle {
  readonly listener: ConnectionListener;
  readonly reports: Reports;
}

/** The stream. */
export interface NotifiedStream extends Http2Stream {
  readonly connection: NotifiedConnection;
  headers: HeaderList;
}

/** Gives a new stream to the connection's owner, who must take it. */
export function callStream(stream: NotifiedStream): void {
  const { connection } = stream;
  try {
    connection.listener.onStream(stream);
  } catch (failure) {
    abandon(stream, failure);
  }
  if (stream.listener === NO_LISTENER) stream.reset(ErrorCode.INTERNAL_ERROR);
}

/** Delivers the final response's header fields. */
export function callHeaders(stream: NotifiedStream, list: HeaderList, endStream: boolean): void {
  try {
    stream.headers = list;
    stream.listener.onHeaders(stream, list, endStream);
  } catch (failure) {
    abandon(stream, failure);
  }
}

/** Delivers content. */
export function callData(stream: NotifiedStream, chunk: Buffer): void {
  try {
    stream.listener.onData(stream, chunk);
  } catch (failure) {
    abandon(stream, failure);
  }
}

/** Delivers trailers. */
export function callTrailers(stream: NotifiedStream, list: HeaderList): void {
  try {
    stream.listener.onTrailers(stream, list);
  } catch (failure) {
    abandon(stream, failure);
  }
}

/** Tells that the peer is done. */
export function callEnd(stream: NotifiedStream): void {
  try {
    stream.listener.onEnd(stream);
  } catch (failure) {
    abandon(stream, failure);
  }
}

/** Tells that the queue has room again. */
export function callDrain(stream: NotifiedStream): void {
  try {
    stream.listener.onDrain(stream);
  } catch (failure) {
    abandon(stream, failure);
  }
}

/** Tells that a request has to go; true when its answer follows. */
export function callTooMuch(stream: NotifiedStream): boolean {
  try {
    return stream.listener.onTooMuch?.(stream) ?? false;
  } catch (failure) {
    stream.connection.reports.report(failure);
    return false;
  }
}

/** The last call a listener gets. */
export function callClose(stream: NotifiedStream, code: number, local: boolean): void {
  try {
    stream.listener.onClose(stream, code, local);
  } catch (failure) {
    stream.connection.reports.report(failure);
  }
}

function abandon(stream: NotifiedStream, failure: unknown): void {
  stream.connection.reports.report(failure);
  stream.reset(ErrorCode.INTERNAL_ERROR);
}
