/**
 * The command line of an etcd member for the releases that the tests run: what a release calls a flag, which
 * ones it has at all, and which form of a unix socket's address it takes.
 */
import { join } from 'node:path';
import type { EtcdInstall } from '../../scripts/etcd/etcds.ts';

/** The certificates of an etcd that serves its clients over TLS. */
export interface ClientTls {
  readonly certFile: string;
  readonly keyFile: string;
  /** Where given, clients must show a certificate that this authority signed. */
  readonly clientCaFile?: string;
}

/** What a test may ask of an etcd; what it leaves out is etcd's own default, unless said. */
export interface EtcdSettings {
  /** Listen on a unix socket too. */
  readonly unixSocket?: boolean;
  readonly clientTls?: ClientTls;
  /** The value of `--auth-token`: `simple` or `jwt,...`. */
  readonly authToken?: string;
  readonly authTokenTtlSeconds?: number;
  /** The cost of password hashes; 4 by default, the least: etcd's own default takes it a tenth of a second for each. */
  readonly bcryptCost?: number;
  readonly watchProgressIntervalMs?: number;
  readonly heartbeatMs?: number;
  readonly electionMs?: number;
  readonly maxRequestBytes?: number;
  readonly quotaBackendBytes?: number;
  /** More flags, as etcd takes them; see `experimental` for names that changed. */
  readonly args?: readonly string[];
}

/** The place of one member. */
export interface MemberPlace {
  readonly name: string;
  /** The folder of its data and its socket. */
  readonly folder: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Where its peers connect, if not at `peerPort` itself but at a relay to it. */
  readonly peerRelayPort?: number;
  readonly metricsPort: number;
}

/** Whether a release is `major.minor` or newer. */
export function atLeast(install: EtcdInstall, major: number, minor: number): boolean {
  return install.major > major || (install.major === major && install.minor >= minor);
}

/** The name of a flag that was called `--experimental-...` before etcd 3.6. */
export function experimental(install: EtcdInstall, flag: string): string {
  return atLeast(install, 3, 6) ? `--${flag}` : `--experimental-${flag}`;
}

/**
 * The unix socket of a member: the path of the file and the address etcd listens on. The file is called
 * localhost because etcd's clients take a socket's file name for the name in the server's certificate.
 */
export function unixSocketOf(install: EtcdInstall, place: MemberPlace, tls: boolean): [string, string] {
  const scheme = tls ? 'unixs' : 'unix';
  if (atLeast(install, 3, 5))
    return [join(place.folder, 'localhost'), `${scheme}://${place.folder}/localhost`];
  // 3.4 takes no path, only something like host:port, and makes a file of that name in its working folder
  return [join(place.folder, 'localhost:0'), `${scheme}://localhost:0`];
}

/** Where the other members reach a member. */
export function peerUrl(place: MemberPlace): string {
  return `http://127.0.0.1:${place.peerRelayPort ?? place.peerPort}`;
}

/** The client address of a member. */
export function clientUrl(place: MemberPlace, settings: EtcdSettings): string {
  return `${settings.clientTls === undefined ? 'http' : 'https'}://127.0.0.1:${place.clientPort}`;
}

function tlsFlags(tls: ClientTls): string[] {
  const own = [`--cert-file=${tls.certFile}`, `--key-file=${tls.keyFile}`];
  if (tls.clientCaFile === undefined) return own;
  return [...own, '--client-cert-auth', `--trusted-ca-file=${tls.clientCaFile}`];
}

function settingFlags(install: EtcdInstall, settings: EtcdSettings): string[] {
  const flags: [name: string, value: string | number | undefined, unit: string][] = [
    ['--auth-token', settings.authToken, ''],
    ['--auth-token-ttl', settings.authTokenTtlSeconds, ''],
    ['--bcrypt-cost', settings.bcryptCost ?? 4, ''],
    [experimental(install, 'watch-progress-notify-interval'), settings.watchProgressIntervalMs, 'ms'],
    ['--heartbeat-interval', settings.heartbeatMs, ''],
    ['--election-timeout', settings.electionMs, ''],
    ['--max-request-bytes', settings.maxRequestBytes, ''],
    ['--quota-backend-bytes', settings.quotaBackendBytes, ''],
  ];
  return flags.flatMap(([name, value, unit]) => (value === undefined ? [] : [`${name}=${value}${unit}`]));
}

/** The command line of the member at `place` among `all` members. */
export function memberArgs(
  install: EtcdInstall,
  settings: EtcdSettings,
  place: MemberPlace,
  all: readonly MemberPlace[],
): string[] {
  const client = clientUrl(place, settings);
  const tls = settings.clientTls;
  const socket = settings.unixSocket === true ? [unixSocketOf(install, place, tls !== undefined)[1]] : [];
  return [
    `--name=${place.name}`,
    `--data-dir=${join(place.folder, 'data')}`,
    `--listen-client-urls=${[client, ...socket].join(',')}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=http://127.0.0.1:${place.peerPort}`,
    `--initial-advertise-peer-urls=${peerUrl(place)}`,
    `--initial-cluster=${all.map((other) => `${other.name}=${peerUrl(other)}`).join(',')}`,
    `--initial-cluster-token=cluster-${all[0]?.peerPort}`,
    `--listen-metrics-urls=http://127.0.0.1:${place.metricsPort}`,
    '--logger=zap',
    '--log-outputs=stderr',
    ...(atLeast(install, 3, 5) ? ['--unsafe-no-fsync'] : []),
    ...(tls === undefined ? [] : tlsFlags(tls)),
    ...settingFlags(install, settings),
    ...(settings.args ?? []),
  ];
}
