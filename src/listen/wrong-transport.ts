/**
 * The end of a connection that speaks plaintext to a TLS port, or TLS to a plaintext port: a short HTTP/1.1 response.
 * TLS and HTTP/2 libraries know it by its first bytes and say so. HTTP/2 clients get no GOAWAY, because after
 * SETTINGS they would take the connection for a good one and dial again at once, forever.
 */
import type { Socket } from 'node:net';
import type { WireProtocol } from './first-bytes.ts';

/** Time in milliseconds that a client gets to take the answer. */
const LINGER_MS = 1000;

const WANTS_TLS = 'this port speaks TLS, and the connection is not encrypted';
const WANTS_PLAINTEXT = 'this port does not speak TLS';

/** What such a client spoke. */
export type WrongTransport = 'plaintext' | 'tls';

/** Answers a client that should have spoken TLS, as far as it can be answered, and ends the connection. */
export function refusePlaintext(socket: Socket, opening: WireProtocol, head: Buffer): void {
  const looksLikeHttp = opening === 'http2' || /^[A-Z]{1,20}( |$)/.test(head.toString('latin1', 0, 21));
  if (looksLikeHttp) refuse(socket, WANTS_TLS);
  else refuseUnknown(socket);
}

/** Answers a client that should not have spoken TLS, and ends the connection. */
export function refuseTls(socket: Socket): void {
  refuse(socket, WANTS_PLAINTEXT);
}

function refuse(socket: Socket, reason: string): void {
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
