/** Hands connections to an HTTP server, as a listener does that has read their first bytes. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Puts the bytes back that were read, and lets the server go on. */
export function handOver(server: Server): (socket: Socket, head: Buffer) => void {
  return (socket, head) => {
    if (head.length > 0) socket.unshift(head);
    server.emit('connection', socket);
    socket.resume();
  };
}
