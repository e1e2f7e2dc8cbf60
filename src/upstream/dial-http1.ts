/** Opens connections to etcd's own HTTP/1.1 server, which is beside gRPC on its port. */
import { connect, type Socket } from 'node:net';
import type { Endpoint } from '../net/endpoint.ts';
import type { TlsDialer } from './dial.ts';

/** Begins to connect. The socket fails where that fails. */
export function dialHttp1({ secure, target, serverName }: Endpoint, tls: TlsDialer): Socket {
  return secure ? tls.connect(target, serverName, 'http/1.1') : connect({ ...target, noDelay: true });
}
