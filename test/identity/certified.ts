/** Clients that are users of etcd by their certificates: the users, the certificates, and an etcd with a proxy for them. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Client, ConnectError, createClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { credentials } from '@grpc/grpc-js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import type { KV } from '#gen/etcdserverpb/kv_pb.js';
import { bytes } from '../reads/clients.ts';
import { type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import type { Pair } from '../tls/pki.ts';
import { metrics, series, toClients, usual } from '../tls/support.ts';
import { type TokenKind, tokens } from '../watch/tokens.ts';

/** Of every user. */
export const PASSWORD = 'never in a log';

/** The users, and by which common names clients are them. */
export const READER = 'reader:of "/a/"';
export const WRITER = 'writer';
const MAP: Readonly<Record<string, { readonly name: string; readonly password: string }>> = {
  'web: front, end=1': { name: READER, password: PASSWORD },
  batch: { name: WRITER, password: PASSWORD },
  'batch at night': { name: WRITER, password: PASSWORD },
  misled: { name: WRITER, password: `${PASSWORD}, but wrong` },
};

export const files = await usual();
const { ca } = files;

/** What clients show. */
export const pairs = {
  reader: await ca.issue('reader', { commonName: 'web: front, end=1' }),
  writer: await ca.issue('writer', { commonName: 'batch' }),
  night: await ca.issue('night', { commonName: 'batch at night' }),
  misled: await ca.issue('misled', { commonName: 'misled' }),
  stranger: await ca.issue('stranger', { commonName: 'nobody knows' }),
  several: await ca.issue('several', { commonName: 'batch', furtherNames: ['batch'] }),
  posing: await ca.issue('posing', { organization: 'x\nCN=batch, CN=batch' }),
};

/** An etcd with the users, whose auth is off yet, and a proxy that signs in for clients. */
export async function setUp(
  held: AsyncDisposableStack,
  install: EtcdInstall,
  kind: TokenKind,
  more: readonly string[] = [],
) {
  const etcd = held.use(await startEtcd({ install, ...(await tokens(kind, 300)) }));
  const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
  for (const [name, permType, prefix] of [
    ['root', 2, 'r'],
    [READER, 0, '/a/'],
    [WRITER, 1, '/b/'],
  ] as const) {
    await auth.roleAdd({ name });
    const range = { key: bytes(prefix), rangeEnd: bytes(`${prefix.slice(0, -1)}0`) };
    if (name !== 'root') await auth.roleGrantPermission({ name, perm: { permType, ...range } });
    await auth.userAdd({ name, password: PASSWORD });
    await auth.userGrantRole({ user: name, role: name });
  }
  const map = join(await tempDir('cn-map'), 'map.json');
  await writeFile(map, JSON.stringify(MAP), { mode: 0o600 });
  const flags = [...toClients(files), `--client-cn-map=${map}`, ...more];
  const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags }));
  const pem = ({ cert, key }: Pair) => ({ cert: readFileSync(cert), key: readFileSync(key) });
  const authority = readFileSync(ca.cert);
  const doors = (pair: Pair, address = proxy.address) => {
    const baseUrl = `https://${address}`;
    const nodeOptions = { ca: authority, servername: 'localhost', ...pem(pair) };
    return {
      gRPC: createGrpcTransport({ baseUrl, nodeOptions }),
      'Connect over HTTP/1.1': createConnectTransport({ baseUrl, httpVersion: '1.1', nodeOptions }),
      'gRPC-Web over HTTP/2': createGrpcWebTransport({ baseUrl, httpVersion: '2', nodeOptions }),
    };
  };
  const raw = (pair: Pair, address = proxy.address) => {
    const { cert, key } = pem(pair);
    const options = { 'grpc.ssl_target_name_override': 'localhost' };
    return held.use(new RawGrpcClient(address, options, credentials.createSsl(authority, key, cert)));
  };
  const rootToken = async () => ({
    token: (await auth.authenticate({ name: 'root', password: PASSWORD })).token,
  });
  const signIns = async (result = 'ok') =>
    series(await metrics(files, proxy), `etcd_proxy_sign_ins_total{user="client",result="${result}"}`);
  return { auth, proxy, map, doors, raw, rootToken, signIns };
}

/** What became of a call, in a few words. */
async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'ok';
  } catch (error) {
    return ConnectError.from(error).rawMessage;
  }
}

/** Reads, or writes, a key; what became of it. */
export const get = (client: Client<typeof KV>, key: string, headers: Record<string, string> = {}) =>
  outcome(client.range({ key: bytes(key) }, { headers }));
export const put = (client: Client<typeof KV>, key: string, headers: Record<string, string> = {}) =>
  outcome(client.put({ key: bytes(key), value: bytes('x') }, { headers }));

/** What etcd says to a user who may not, and to nobody. */
export const DENIED = 'etcdserver: permission denied';
export const NOBODY = 'etcdserver: user name is empty';
