/** An etcd with auth and users, and a proxy in front of it, over a wire that can be cut. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EtcdCluster, type EtcdInstall, type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { etcdMetric, proxyMetrics } from '../support/metrics.ts';
import { tempDir } from '../support/process.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { type CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';
import { CutRelay } from '../watch/cut-relay.ts';
import { signIn } from '../watch/tokens.ts';

/** How the proxy is to be run. */
export interface PlaceOptions {
  readonly install: EtcdInstall;
  readonly etcd?: EtcdOptions;
  /** Users who may read and write `w/`. */
  readonly users: readonly string[];
  /** Whether the proxy has a user of its own, who may read `w/` unless it is said otherwise. */
  readonly own: boolean;
  /** What the proxy's own user may read. */
  readonly ownRange?: readonly [string, string];
  readonly flags?: readonly string[];
}

export interface Place extends AsyncDisposable {
  readonly etcd: EtcdCluster;
  readonly proxy: RunningProxy;
  readonly relay: CutRelay;
  readonly direct: RawGrpcClient;
  readonly client: RawGrpcClient;
  /** Signs in through the proxy. */
  as(name: string): Promise<CallOptions>;
  /** Does something as root, directly. */
  root(...args: readonly string[]): Promise<void>;
}

async function must(etcd: EtcdCluster, args: readonly string[], input = ''): Promise<void> {
  const { code, stderr } = await etcd.etcdctl(args, { input });
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
}

/** Prepares all of it: root, the users with a role each of their own name, `own` for the proxy; auth is on. */
export async function startPlace(options: PlaceOptions): Promise<Place> {
  const { install, users, own, ownRange = ['w/', 'w0'], flags = [] } = options;
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd({ install, bcryptCost: 4, ...options.etcd }));
  await must(etcd, ['user', 'add', 'root:pw']);
  await must(etcd, ['user', 'grant-role', 'root', 'root']);
  for (const name of [...users, 'own']) {
    await must(etcd, ['user', 'add', `${name}:pw`]);
    await must(etcd, ['role', 'add', name]);
    const range = name === 'own' ? ownRange : ['w/', 'w0'];
    await must(etcd, ['role', 'grant-permission', name, 'readwrite', ...range]);
    await must(etcd, ['user', 'grant-role', name, name]);
  }
  await must(etcd, ['auth', 'enable']);
  const file = join(await tempDir('user'), 'user');
  await writeFile(file, 'own:pw\n', { mode: 0o600 });
  const relay = held.use(await CutRelay.start(etcd.first.address));
  const all = [...(own ? [`--cache-prefix-user-file=${file}`] : []), ...flags];
  const proxy = held.use(await startProxy({ endpoints: [relay.address], flags: all }));
  const direct = held.use(new RawGrpcClient(etcd.first.address));
  const client = held.use(new RawGrpcClient(proxy.address));
  const kept = held.move();
  return {
    etcd,
    proxy,
    relay,
    direct,
    client,
    as: (name) => signIn(client, name),
    root: (...args) => must(etcd, ['--user=root:pw', ...args], 'new\n'),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** How many watches etcd has. */
export function watchesOn({ etcd }: Place): Promise<number> {
  return etcdMetric(etcd.first.url, 'etcd_debugging_mvcc_watcher_total');
}

/** What a proxy counts under a name, by the value of its label. */
export async function counts({ proxy }: Place, name: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  const series = new RegExp(`^${name}\\{\\w+="([^"]*)"\\} (\\S+)$`, 'gm');
  for (const [, label, count] of (await proxyMetrics(proxy.url)).matchAll(series))
    found[label as string] = Number(count);
  return found;
}
