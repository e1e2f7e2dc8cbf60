/**
 * Sides: the same script runs once on each, each side having a fresh etcd of its own. On the direct side the
 * script talks to etcd; on every other there is a proxy in between and one protocol in which it is spoken to.
 */

import { fromBinary } from '@bufbuild/protobuf';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { type EtcdCluster, type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { REAL_MEMBERS, startProxy } from '../support/proxy.ts';
import { type OpenCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG } from '../support/releases.ts';
import { Names } from './names.ts';
import { pathOf, type Rpc } from './rpc.ts';
import { type HttpVersion, WebClient, type WebProtocol, webProtocols } from './web-client.ts';

/** How a side's script reaches its etcd. */
export interface SideKind {
  readonly name: string;
  readonly through: 'direct' | 'proxy';
  /** The protocol of calls that take one message; streams of messages are always gRPC. */
  readonly web?: { readonly protocol: WebProtocol; readonly http: HttpVersion };
  /** How the proxy is started, where it is not as usual. */
  readonly startProxy?: typeof startProxy;
  /** Whether etcd itself has other keys than the script names: then even what looks after things asks through a proxy. */
  readonly otherKeys?: boolean;
}

/** Cases wait until etcd has no watches any more. */
const FLAGS = ['--watch-linger=500ms', REAL_MEMBERS];

export const direct: SideKind = { name: 'direct', through: 'direct' };
export const grpc: SideKind = { name: 'grpc', through: 'proxy' };
export const web = (protocol: WebProtocol, http: HttpVersion): SideKind => ({
  name: `${protocol} over HTTP/${http}`,
  through: 'proxy',
  web: { protocol, http },
});

/** The same, with a proxy that has a namespace. */
export const within = (kind: SideKind): SideKind => ({
  ...kind,
  name: `${kind.name} within a namespace`,
  startProxy: ({ flags = [], ...options }) =>
    startProxy({ ...options, flags: [...flags, '--namespace=a name/'] }),
  otherKeys: true,
});

/** Every protocol over every version of HTTP that carries it. */
const everySide: readonly SideKind[] = [
  direct,
  grpc,
  ...webProtocols.flatMap((protocol) => [web(protocol, '1.1'), web(protocol, '2')]),
];

const someSides: readonly (readonly SideKind[])[] = [
  [direct, grpc, web('grpc-web', '1.1'), web('connect-json', '2')],
  [direct, grpc, web('grpc-web', '2'), web('connect-json', '1.1')],
  [direct, grpc, web('connect-proto', '1.1'), web('connect-json', '2')],
];

/**
 * The sides for each of a number of etcds, oldest first: the protocols and versions of HTTP take turns, and the newest
 * meets all of them if there is time.
 */
export function sidesFor(index: number, count: number): readonly SideKind[] {
  return LONG && index === count - 1 ? everySide : (someSides[index % someSides.length] ?? everySide);
}

/** An etcd and the way to it. */
export interface Side extends AsyncDisposable {
  readonly kind: SideKind;
  readonly etcd: EtcdCluster;
  /** gRPC along the side. */
  readonly grpc: RawGrpcClient;
  /** gRPC past the proxy, to look after things. */
  readonly behind: RawGrpcClient;
  /** What is volatile of this etcd. */
  readonly names: Names;
  /** Makes a call in the side's protocol. */
  open(rpc: Rpc): OpenCall;
  /** Fails where etcd or the proxy has ended: two dead ones answer alike, which proves nothing. */
  assertAlive(): void;
}

/** Learns the ids and addresses of an etcd's members. */
export async function namesOf(client: RawGrpcClient): Promise<Names> {
  const { memberList } = Cluster.method;
  const { code, message, messages } = await client.call(pathOf(memberList), [new Uint8Array()]);
  if (code !== 0 || messages[0] === undefined) throw new Error(`MemberList: ${code} ${message}`);
  const { header, members } = fromBinary(memberList.output, messages[0]);
  const names = new Names();
  names.learnId('cluster', header?.clusterId ?? 0n);
  for (const member of members.toSorted((one, two) => (one.name < two.name ? -1 : 1))) {
    names.learnId('member', member.ID);
    for (const url of member.clientURLs) names.learnText('client address', new URL(url).host);
    for (const url of member.peerURLs) names.learnText('peer address', new URL(url).host);
  }
  return names;
}

/** The way to an etcd that already runs; the etcd is not the side's to stop. */
export async function sideTo(kind: SideKind, etcd: EtcdCluster, endpoints = etcd.endpoints): Promise<Side> {
  await using held = new AsyncDisposableStack();
  const start = kind.startProxy ?? startProxy;
  const proxy = kind.through === 'direct' ? undefined : held.use(await start({ endpoints, flags: FLAGS }));
  const client = held.use(new RawGrpcClient(proxy?.address ?? endpoints[0] ?? ''));
  const aside =
    kind.otherKeys === true
      ? held.use(await start({ endpoints, flags: [REAL_MEMBERS] })).address
      : endpoints[0];
  const behind = held.use(new RawGrpcClient(aside ?? ''));
  const webClient =
    kind.web === undefined || proxy === undefined
      ? undefined
      : held.use(new WebClient(proxy.url, kind.web.protocol, kind.web.http));
  const names = await namesOf(behind);
  const open = (rpc: Rpc): OpenCall => {
    if (webClient !== undefined && rpc.options.grpcOnly !== true) return webClient.open(rpc);
    const call = client.open(rpc.path, rpc.options);
    call.send(rpc.request);
    call.halfClose();
    return call;
  };
  const assertAlive = (): void => {
    if (etcd.members.every(({ pid }) => pid === undefined))
      throw new Error(`etcd ended\n${etcd.first.log.slice(-2000)}`);
    if (proxy?.process.exit !== undefined)
      throw new Error(`the proxy ended\n${proxy.process.stderr.slice(-4000)}`);
  };
  const all = held.move();
  const dispose = (): Promise<void> => all.disposeAsync();
  return { kind, etcd, grpc: client, behind, names, open, assertAlive, [Symbol.asyncDispose]: dispose };
}

/** Starts a fresh etcd and the way to it. */
export async function startSide(kind: SideKind, options: EtcdOptions): Promise<Side> {
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd(options));
  const side = held.use(await sideTo(kind, etcd));
  const all = held.move();
  return { ...side, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
