/**
 * Lets clients and servers that know nothing of TLS meet a proxy that speaks TLS on both sides: plain connections are
 * carried into TLS, and TLS connections out of it.
 */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectPlain, createServer, type Server, type Socket } from 'node:net';
import { connect, createServer as createTlsServer } from 'node:tls';
import type { ProxyOptions } from '../support/proxy.ts';
import { RunningProxy, startProxy } from '../support/proxy.ts';
import { toClients, toEtcd, type Usual } from './support.ts';

function carry(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}

function endpointOf(address: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(`http://${address}`);
  return { host: hostname, port: Number(port) };
}

/** Listens for plain connections and carries them to a TLS address; ALPN says what their first bytes say. */
function intoTls(address: string, { ca, client }: Usual): Server {
  const read = (path: string) => readFileSync(path);
  const credentials = { ca: read(ca.cert), cert: read(client.cert), key: read(client.key) };
  return createServer({ noDelay: true }, (plain) => {
    plain.on('error', () => {}); // `close` follows
    plain.once('data', (head) => {
      plain.pause();
      const protocol = head.toString('latin1', 0, 3) === 'PRI' ? 'h2' : 'http/1.1';
      const options = { ...endpointOf(address), ...credentials, servername: 'localhost' };
      const secure = connect({ ...options, ALPNProtocols: [protocol] });
      secure.setNoDelay(true);
      secure.write(head);
      carry(plain, secure);
    });
  });
}

/** Listens for HTTP/2 over TLS and carries it to a plain address; only the proxy's certificate will do. */
function outOfTls(address: string, { ca, server }: Usual): Server {
  const read = (path: string) => readFileSync(path);
  const own = { ca: read(ca.cert), cert: read(server.cert), key: read(server.key), ALPNProtocols: ['h2'] };
  return createTlsServer({ ...own, requestCert: true, noDelay: true }, (secure) =>
    carry(secure, connectPlain({ ...endpointOf(address), noDelay: true })),
  );
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A proxy whose address speaks plaintext. */
class TunnelledProxy extends RunningProxy {
  readonly #servers: readonly Server[];

  constructor(address: string, { process }: RunningProxy, servers: readonly Server[]) {
    super(address, process);
    this.#servers = servers;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    for (const server of this.#servers) server.close();
  }
}

/** Starts a proxy that speaks TLS on both sides, for tests that speak plaintext to it and to etcd. */
export function startTunnelled(files: Usual): typeof startProxy {
  return async ({ endpoints, flags = [], ...options }: ProxyOptions) => {
    const exits = endpoints.map((endpoint) => outOfTls(endpoint, files));
    const addresses = await Promise.all(exits.map(listen));
    const proxy = await startProxy({
      ...options,
      endpoints: addresses.map((address) => `https://${address}`),
      flags: [...toEtcd(files), ...toClients(files), ...flags],
    });
    const entrance = intoTls(proxy.address, files);
    return new TunnelledProxy(await listen(entrance), proxy, [...exits, entrance]);
  };
}
