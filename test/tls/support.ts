/** What the tests of TLS share: files of authorities, a proxy that speaks TLS on both sides, and clients of it. */
import { existsSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { delimiter, join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { type EtcdCluster, type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { type Finished, runProcess } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { Authority, type Pair } from './pki.ts';

/** One authority for everything, and the usual certificates. */
export interface Usual {
  readonly ca: Authority;
  /** For localhost and 127.0.0.1. */
  readonly server: Pair;
  /** Of the proxy, for etcd: without a common name. */
  readonly proxy: Pair;
  /** Of a client. */
  readonly client: Pair;
}

export async function usual(): Promise<Usual> {
  const ca = await Authority.create();
  const [server, proxy, client] = await Promise.all([
    ca.issue('server', { commonName: 'server', hosts: ['localhost', '127.0.0.1'] }),
    ca.issue('proxy'),
    ca.issue('client', { commonName: 'client' }),
  ]);
  return { ca, server, proxy, client };
}

/** Flags of the proxy for TLS to etcd. */
export const toEtcd = ({ ca, proxy }: Usual): string[] => [
  `--cert=${proxy.cert}`,
  `--key=${proxy.key}`,
  `--cacert=${ca.cert}`,
];

/** Flags of the proxy for TLS to clients that show certificates. */
export const toClients = ({ ca, server }: Usual): string[] => [
  `--cert-file=${server.cert}`,
  `--key-file=${server.key}`,
  `--trusted-ca-file=${ca.cert}`,
];

/** Starts an etcd that wants certificates of its clients. */
export function startSecureEtcd({ ca, server }: Usual, options: EtcdOptions = {}): Promise<EtcdCluster> {
  const clientTls = { certFile: server.cert, keyFile: server.key, clientCaFile: ca.cert };
  return startEtcd({ ...options, clientTls });
}

/** Starts a proxy with TLS on both sides, in front of such an etcd. */
export function startSecureProxy(
  files: Usual,
  etcd: EtcdCluster,
  flags: readonly string[] = [],
): Promise<RunningProxy> {
  return startProxy({ endpoints: etcd.urls, flags: [...toEtcd(files), ...toClients(files), ...flags] });
}

/** Flags of curl for an authority and a client's certificate. */
export const curlTls = (ca: Authority, pair?: Pair): string[] => [
  '--cacert',
  ca.cert,
  ...(pair === undefined ? [] : ['--cert', pair.cert, '--key', pair.key]),
];

/** Runs curl and returns what it wrote; the status comes last, behind a blank. */
export function curl(args: readonly string[]): Promise<Finished> {
  return runProcess('curl', ['-sS', '--max-time', '10', '-w', ' %{http_version} %{http_code}', ...args]);
}

/** What a page of health says where etcd, or the handshake with it, took longer than the second that it waits. */
const LATE = /context deadline exceeded|not connected yet|WATCH TIMEOUT/;

/** What curl wrote of a page of health, as soon as that says more than that something took too long. */
export function healthPage(args: readonly string[]): Promise<string> {
  let last = '';
  return until(
    () => `a page of health, not ${last}`,
    async () => {
      const { stdout, stderr } = await curl(args);
      last = `${stdout}${stderr}`;
      return !LATE.test(stdout) && last;
    },
  );
}

/** The metrics of a proxy, as text. */
export async function metrics(files: Usual, { address }: RunningProxy): Promise<string> {
  return (await curl([...curlTls(files.ca, files.client), `https://${address}/proxy/metrics`])).stdout;
}

/** The value of a series, 0 where there is none. */
export function series(text: string, name: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

/** Options of node:tls for a client of a proxy. */
export function clientOptions(address: string, ca: Authority, pair?: Pair): ConnectionOptions {
  const [host, port] = address.split(':') as [string, string];
  return {
    host,
    port: Number(port),
    ca: readFileSync(ca.cert),
    servername: 'localhost',
    ALPNProtocols: ['http/1.1'],
    ...(pair === undefined ? {} : { cert: readFileSync(pair.cert), key: readFileSync(pair.key) }),
  };
}

/** What became of a TLS client that asks for a page. */
export interface Visit {
  /** The status line of the answer; empty where there was none. */
  readonly status: string;
  readonly error: string;
  readonly resumed: boolean;
  readonly cipher: string;
  readonly protocol: string;
  /** The last session that the server offered. */
  readonly session: Buffer | undefined;
}

/** Connects, asks, and waits for the end. @param path of a page; the usual one is there whatever etcd does */
export function visit(options: ConnectionOptions, path = '/proxy/metrics'): Promise<Visit> {
  const { promise, resolve } = Promise.withResolvers<Visit>();
  let text = '';
  let error = '';
  let session: Buffer | undefined;
  let seen = { resumed: false, cipher: '', protocol: '' };
  const socket: TLSSocket = connect(options, () => {
    const protocol = socket.getProtocol() ?? '';
    seen = { resumed: socket.isSessionReused(), cipher: socket.getCipher().standardName, protocol };
    socket.write(`GET ${path} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n`);
  });
  socket.on('session', (ticket) => {
    session = ticket;
  });
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  socket.on('error', (failure) => {
    error = failure.message;
  });
  socket.on('close', () => resolve({ status: text.split('\r\n')[0] ?? '', error, session, ...seen }));
  return promise;
}

/** Sends bytes on a plain connection and returns what comes back until its end. */
export function exchange(address: string, bytes: Uint8Array | string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const [host, port] = address.split(':') as [string, string];
  let text = '';
  const socket = createConnection({ host, port: Number(port) }, () => socket.write(bytes));
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {}); // `close` follows
  socket.on('close', () => resolve(text));
  return promise;
}

/** Whether a program is in one of the folders. */
export function installed(program: string, path = process.env.PATH ?? ''): boolean {
  return path.split(delimiter).some((folder) => existsSync(join(folder, program)));
}
