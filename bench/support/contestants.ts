/** The processes that a benchmark compares: etcd itself, its own grpc-proxy, and this proxy, all on loopback. */
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type ClientTls, type EtcdCluster, type EtcdInstall, startEtcd } from '../../test/support/etcd.ts';
import { PROFILED } from '../../test/support/etcd-load.ts';
import { takePort } from '../../test/support/ports.ts';
import { type RunningProcess, startProcess } from '../../test/support/process.ts';

/** One of them. */
export interface Contestant {
  readonly name: string;
  readonly address: string;
  /** Where keys are written that its clients see: etcd, or another proxy within the same namespace. */
  readonly writes: string;
  readonly pid: number;
  /** Writes a line when it gets SIGUSR2, where it was started with such a preload. */
  readonly process?: RunningProcess;
}

/** All of them, in front of one etcd of the newest release at hand. */
export interface Contestants extends AsyncDisposable {
  readonly version: string;
  readonly etcd: Contestant;
  readonly incumbent: Contestant;
  readonly ours: Contestant;
}

const LAUNCHER = `${import.meta.dirname}/../../bin/etcd-connect-proxy`;

/** The launcher of an earlier build, which then takes the incumbent's place: what has a change cost or gained? */
export const BEFORE = process.env.BENCH_BEFORE;

/** Further flags of our proxies, with blanks between them. A namespace is the incumbent's too. */
const FLAGS = process.env.BENCH_FLAGS?.split(' ') ?? [];
const NAMESPACE = FLAGS.filter((flag) => flag.startsWith('--namespace='));

/** TLS on both sides: etcd's own, and the flags that both proxies take. */
export interface ContestantTls {
  /** Another release than the newest at hand. */
  readonly install?: EtcdInstall;
  readonly etcd: ClientTls;
  readonly flags: readonly string[];
}

/**
 * Starts them; the build must be fresh. `NODE_OPTIONS` reaches our proxy, so that it can be profiled.
 * @param flags further ones for our proxy alone
 * @param preload a file that is loaded into our proxy before its own code
 */
export async function startContestants(
  tls?: ContestantTls,
  flags: readonly string[] = [],
  preload?: string,
): Promise<Contestants> {
  const cluster: EtcdCluster = await startEtcd({
    args: [PROFILED],
    ...(tls === undefined ? {} : { clientTls: tls.etcd, ...(tls.install && { install: tls.install }) }),
  });
  const [endpoint] = cluster.endpoints as [string];
  const [url] = cluster.urls as [string];
  const args = (address: string) => [
    'start',
    `--endpoints=${url}`,
    `--listen-addr=${address}`,
    ...(tls?.flags ?? []),
  ];
  const [incumbent, incumbentAddress] =
    BEFORE === undefined
      ? await startIncumbent(cluster.install.etcd, (address) => [...args(address), ...NAMESPACE])
      : await startProxy(BEFORE, [...args(ANY_PORT), ...flags, ...FLAGS]);
  const env = preload === undefined ? {} : { NODE_OPTIONS: `--import=${pathToFileURL(preload).href}` };
  const [ours, address] = await startProxy(LAUNCHER, [...args(ANY_PORT), ...flags, ...FLAGS], env);
  const aside =
    NAMESPACE.length === 0 ? undefined : await startProxy(LAUNCHER, [...args(ANY_PORT), ...NAMESPACE]);
  const writes = aside?.[1] ?? endpoint;
  await sleep(500);
  return {
    version: cluster.install.version,
    etcd: { name: 'etcd', address: endpoint, writes: endpoint, pid: cluster.first.pid as number },
    incumbent: {
      name: BEFORE === undefined ? 'etcd grpc-proxy' : 'before',
      address: incumbentAddress,
      writes,
      pid: incumbent.pid,
    },
    ours: { name: 'etcd-connect-proxy', address, writes, pid: ours.pid, process: ours },
    async [Symbol.asyncDispose]() {
      await stopAll([ours, incumbent, ...(aside === undefined ? [] : [aside[0]])]);
      await cluster.stop();
    },
  };
}

const ANY_PORT = '127.0.0.1:0';

/** A build of this project. @returns it and its address */
async function startProxy(
  launcher: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<[RunningProcess, string]> {
  const started = await startProcess(launcher, args, { env });
  const line = await started.waitForLine(/started gRPC proxy/, 30_000);
  return [started, (JSON.parse(line) as { address: string }).address];
}

/** The incumbent. @returns it and its address */
async function startIncumbent(
  etcd: string,
  args: (address: string) => readonly string[],
): Promise<[RunningProcess, string]> {
  const address = `127.0.0.1:${await takePort()}`;
  const started = await startProcess(etcd, ['grpc-proxy', ...args(address)], { keep: 10_000 });
  await started.waitForLine(/started gRPC proxy/, 30_000);
  return [started, address];
}

async function stopAll(processes: readonly RunningProcess[]): Promise<void> {
  for (const process of processes) await process.stop();
}
