/** A server whose every frame is written by the test: the misbehaving peer of the client role. */
import { once } from 'node:events';
import net from 'node:net';
import type { Http2Connection, Http2Settings } from '../../../src/http2/index.ts';
import { connect, type Owner } from './exchange.ts';
import { MAGIC, RawPeer, settings } from './raw-peer.ts';

/** One engine client and the scripted server it is connected to. */
export interface Scene extends AsyncDisposable {
  readonly peer: RawPeer;
  readonly owner: Owner;
  readonly connection: Http2Connection;
}

/** Connects an engine client to a scripted server, which has sent `first`. */
export async function scene(given: Partial<Http2Settings> = {}, first: Buffer = settings()): Promise<Scene> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const { owner, connection } = connect((server.address() as net.AddressInfo).port, given);
  const [socket] = await accepted;
  server.close();
  const peer = new RawPeer(socket, MAGIC.length);
  if (first.length > 0) peer.send(first);
  return {
    peer,
    owner,
    connection,
    async [Symbol.asyncDispose]() {
      connection.destroy();
      await owner.closed;
      peer.close();
    },
  };
}
