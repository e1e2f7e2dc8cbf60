/**
 * The end of a connection that speaks plaintext to a TLS port, or TLS to a plaintext port. Each gets an answer that
 * its client can show: HTTP/1.1 and TLS clients a short HTTP response (TLS libraries know it and say so), HTTP/2
 * clients a GOAWAY with the reason.
 */
import type { Socket } from 'node:net';
import { type ConnectionListener, ErrorCode, Http2Connection } from '../http2/index.ts';
import type { Opening } from './first-bytes.ts';

/** Time in milliseconds that a client gets to take the answer. */
const LINGER_MS = 1000;

const WANTS_TLS = 'this port speaks TLS, and the connection is not encrypted';
const WANTS_PLAINTEXT = 'this port does not speak TLS';

/** What such a client spoke. */
export type WrongTransport = 'plaintext' | 'tls';

/** Answers a client that should have spoken TLS, as far as it can be answered, and ends the connection. */
export function refusePlaintext(socket: Socket, opening: Opening, head: Buffer): void {
  if (opening === 'http2') refuseHttp2(socket, head);
  else if (/^[A-Z]{1,20}( |$)/.test(head.toString('latin1', 0, 21))) refuseHttp1(socket, WANTS_TLS);
  else refuseUnknown(socket);
}

/** Answers a client that should not have spoken TLS, and ends the connection. */
export function refuseTls(socket: Socket): void {
  refuseHttp1(socket, WANTS_PLAINTEXT);
}

function refuseHttp1(socket: Socket, reason: string): void {
  const body = `${reason}\n`;
  const head = [
    'HTTP/1.1 400 Bad Request',
    'connection: close',
    'content-type: text/plain; charset=utf-8',
    `content-length: ${body.length}`,
  ];
  leave(socket);
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function refuseUnknown(socket: Socket): void {
  leave(socket);
  socket.end();
}

/** Input is read and dropped: unread, it would make the kernel reset the connection, and the answer be lost. */
function leave(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.destroySoon());
  socket.once('close', () => clearTimeout(timer));
  socket.resume();
}

function refuseHttp2(socket: Socket, head: Buffer): void {
  const settings = { lingerTimeoutMs: LINGER_MS };
  const connection = new Http2Connection(socket, 'server', NOBODY, settings, head);
  connection.destroy(ErrorCode.INADEQUATE_SECURITY, WANTS_TLS);
}

const nothing = (): void => {};

/** Nobody waits for anything of a connection that is refused. */
const NOBODY: ConnectionListener = {
  onStream: nothing,
  onReady: nothing,
  onGoaway: nothing,
  onStreamSlots: nothing,
  onClose: nothing,
};
