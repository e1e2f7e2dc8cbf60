/** Where calls come from: what their handlers see of their client, whichever door it took, and what the log says of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Registry } from '@prometheus-io/client';
import { KV } from '../../src/etcd/methods.ts';
import { GrpcServer } from '../../src/grpc/server.ts';
import { Http2Connections } from '../../src/listen/http2-connections.ts';
import { Listeners, type TlsSource } from '../../src/listen/listeners.ts';
import { clientOn } from '../../src/listen/peer.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { CallRecords } from '../../src/observe/call-records.ts';
import { Faults } from '../../src/observe/faults.ts';
import { createLogger, type ProgramLog } from '../../src/observe/log.ts';
import { ProxyRecords } from '../../src/observe/proxy-records.ts';
import type { Client } from '../../src/rpc/client.ts';
import type { Call } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { ServerTls } from '../../src/tls/server-tls.ts';
import { bridge } from '../../src/web/http2-bridge.ts';
import { createWebServer } from '../../src/web/server.ts';
import { handOver } from '../support/hand-over.ts';
import { methodAt } from '../support/methods.ts';
import { usual } from '../tls/support.ts';

const ignore = (): void => {};

/** A log whose lines are kept. */
function recording() {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('info', { write: (line) => lines.push(JSON.parse(line)) });
  return { lines, log: { logger, faults: new Faults(logger), sink: { lost: 0 } } as unknown as ProgramLog };
}

/** All doors on one port. What a handler does with a Range is up to the test. */
async function open(range: (call: Call) => Uint8Array, tls?: TlsSource, at = '127.0.0.1:0') {
  const { lines, log } = recording();
  const registry = new Registry();
  const observer = new CallRecords(registry, [], log);
  const metrics = new ProxyRecords(registry, log);
  const services = {
    method: methodAt,
    unary: () => (_request: Uint8Array, call: Call) => range(call),
    stream: () => assert.fail('no streams'),
  };
  const receive = { maxBytes: 1 << 20, tooLarge: () => 'too large' };
  const ledger = new Ledger(64 << 20);
  const web = createWebServer({
    services,
    maxRequestBytes: 1 << 20,
    ledger,
    corsAllowedOrigins: [],
    isOwnHost: () => false,
    version: { body: async () => '{"etcdserver":"3.7.0"}' },
    health: { check: () => assert.fail(), checkProxy: () => assert.fail() },
    metrics: { all: () => assert.fail(), own: () => assert.fail() },
    observer,
  });
  await web.app.ready();
  const http2 = new Http2Connections({
    grpc: new GrpcServer({ services, receive, observer }),
    fallback: bridge(web),
    settings: { minPingIntervalMs: 60_000 },
    accounts: ledger,
    observer: metrics,
  });
  const listeners = new Listeners({
    http2,
    http1: handOver(web.http),
    pages: handOver(web.http),
    tls,
    firstByteTimeout: 60_000,
    observer: { onSilentConnection: ignore, onWrongTransport: ignore },
  });
  const address = await listeners.listen(parseEndpoint(at));
  const close = async (): Promise<void> => {
    listeners.destroy();
    http2.close();
    web.close();
  };
  return { address, lines, [Symbol.asyncDispose]: close };
}

/** Makes a call over HTTP/2 and waits for its end. */
async function call(session: ClientHttp2Session, type: string, body: string | Buffer): Promise<void> {
  const headers = { ':method': 'POST', ':path': KV.Range.path, 'content-type': type, te: 'trailers' };
  const stream = session.request(headers);
  stream.resume();
  stream.end(body);
  await once(stream, 'close');
}

const grpc = (session: ClientHttp2Session): Promise<void> =>
  call(session, 'application/grpc', Buffer.alloc(5));

/** The address of this end. */
function mine({ localAddress, localPort }: Socket): string {
  return `${localAddress}:${localPort}`;
}

/** Notes the clients of calls. */
function noting() {
  const clients: Client[] = [];
  const range = (call: Call): Uint8Array => {
    clients.push(call.client);
    return new Uint8Array(0);
  };
  return { clients, range };
}

describe('the client of a call', () => {
  test('over HTTP/2 is one object for the connection, for gRPC and for what is bridged', async () => {
    const { clients, range } = noting();
    await using door = await open(range);
    const session = connect(`http://${door.address}`);
    await grpc(session);
    await grpc(session);
    await call(session, 'application/json', '{}');
    const address = mine(session.socket as Socket);
    session.destroy();
    assert.deepEqual(clients[0], {
      address,
      listener: door.address,
      local: door.address,
      namespace: '',
      certificate: undefined,
      commonName: undefined,
    });
    assert.equal(clients.length, 3);
    for (const client of clients) assert.equal(client, clients[0]);
  });

  test('knows which address of the machine it has come in at, where that may be any', async () => {
    const { clients, range } = noting();
    await using door = await open(range, undefined, '0.0.0.0:0');
    const session = connect(`http://127.0.0.2:${door.address.split(':')[1]}`);
    await grpc(session);
    session.destroy();
    const [{ local, listener }] = clients as [Client];
    assert.deepEqual([local, listener], [door.address.replace('0.0.0.0', '127.0.0.2'), door.address]);
  });

  test('is not asked for the address that all come in at: that is a system call', () => {
    let asked = 0;
    const socket = {
      ...{ remoteAddress: '127.0.0.1', remotePort: 4, localPort: 5 },
      get localAddress() {
        asked++;
        return '127.0.0.1';
      },
    } as Socket;
    const place = { listener: 'x', namespace: '' };
    assert.equal(clientOn(socket, { ...place, local: '127.0.0.1:5' }).local, '127.0.0.1:5');
    assert.equal(asked, 0);
    assert.equal(clientOn(socket, { ...place, local: undefined }).local, '127.0.0.1:5');
  });

  test('over HTTP/1.1 is there too', async () => {
    const { clients, range } = noting();
    await using door = await open(range);
    const [host, port] = door.address.split(':');
    const headers = { 'content-type': 'application/json' };
    const asked = request({ host, port, method: 'POST', path: KV.Range.path, headers, agent: false });
    asked.end('{}');
    const [response] = await once(asked, 'response');
    response.resume();
    const address = mine(asked.socket as Socket);
    assert.deepEqual(clients, [
      {
        address,
        listener: door.address,
        local: door.address,
        namespace: '',
        certificate: undefined,
        commonName: undefined,
      },
    ]);
  });

  const subjects = [
    ['has the subject of the certificate that it showed', {}, 'O=etcd tests + CN=client'],
    ['is served with a certificate whose subject is empty', { nameless: true }, undefined],
  ] as const;
  for (const [title, names, expected] of subjects)
    test(title, { timeout: 60_000 }, async () => {
      const files = await usual();
      const shown =
        'nameless' in names
          ? await files.ca.issue('nameless', { ...names, hosts: ['client'] })
          : files.client;
      const flagged = (path: string) => ({ flag: '--flag', path });
      const observer = {
        ...{ onHandshakeDone: ignore, onHandshakeFailed: ignore },
        ...{ onLoaded: ignore, onReloaded: ignore, onReloadFailed: ignore },
      };
      const pair = { cert: flagged(files.server.cert), key: flagged(files.server.key) };
      const ca = flagged(files.ca.cert);
      const versions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } as const;
      const settings = { pair, ca, crl: undefined, cipherSuites: [], ...versions, handshakeTimeout: 10_000 };
      const tls = new ServerTls(settings, observer);
      await tls.start();
      const { clients, range } = noting();
      await using door = await open(range, tls);
      const [host, port] = door.address.split(':');
      const session = connect(`https://${door.address}`, {
        createConnection: () =>
          connectTls({
            host: host as string,
            port: Number(port),
            ca: readFileSync(files.ca.cert),
            cert: readFileSync(shown.cert),
            key: readFileSync(shown.key),
            ALPNProtocols: ['h2'],
          }),
      });
      await grpc(session);
      session.destroy();
      tls.close();
      assert.equal(clients.length, 1);
      assert.equal(clients[0]?.certificate, expected);
    });
});

describe('the log names the client', () => {
  test('where a call has met a fault of the program', async () => {
    await using door = await open(() => {
      throw new Error('a fault');
    });
    const session = connect(`http://${door.address}`);
    await grpc(session);
    const client = mine(session.socket as Socket);
    session.destroy();
    const [{ method, client: named, listener, certificate } = {}] = door.lines;
    assert.deepEqual(
      { method, client: named, listener, certificate },
      { method: KV.Range.path, client, listener: door.address, certificate: undefined },
    );
  });

  test("where etcd's reply to a call was malformed", async () => {
    await using door = await open(() => Buffer.of(0xff));
    const session = connect(`http://${door.address}`);
    await call(session, 'application/json', '{}');
    const client = mine(session.socket as Socket);
    session.destroy();
    const [line] = door.lines;
    assert.deepEqual(
      [line?.msg, line?.method, line?.client, line?.listener],
      ['etcd sent a malformed reply', KV.Range.path, client, door.address],
    );
  });

  test('where a connection has reached a bound', async () => {
    await using door = await open(() => new Uint8Array(0));
    const session = connect(`http://${door.address}`);
    await grpc(session);
    const client = mine(session.socket as Socket);
    session.on('error', ignore); // the connection is closed for it
    for (let i = 0; i < 6; i++) session.ping(ignore);
    await new Promise<void>((resolve) => session.once('close', resolve));
    const [line] = door.lines;
    assert.deepEqual(
      [line?.limit, line?.client, line?.listener],
      ['minPingIntervalMs', client, door.address],
    );
  });
});
