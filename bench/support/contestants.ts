/** The processes that a benchmark compares: etcd itself, its own grpc-proxy, and this proxy, all on loopback. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientTls, type EtcdCluster, startEtcd } from '../../test/support/etcd.ts';
import { takePort } from '../../test/support/ports.ts';
import { type RunningProcess, startProcess } from '../../test/support/process.ts';

/** One of them. */
export interface Contestant {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
}

/** All of them, in front of one etcd of the newest release at hand. */
export interface Contestants extends AsyncDisposable {
  readonly version: string;
  readonly etcd: Contestant;
  readonly incumbent: Contestant;
  readonly ours: Contestant;
}

const LAUNCHER = `${import.meta.dirname}/../../bin/etcd-connect-proxy`;

/** TLS on both sides: etcd's own, and the flags that both proxies take. */
export interface ContestantTls {
  readonly etcd: ClientTls;
  readonly flags: readonly string[];
}

/**
 * Starts them; the build must be fresh. `NODE_OPTIONS` reaches our proxy, so that it can be profiled.
 * @param flags further ones for our proxy alone
 */
export async function startContestants(
  tls?: ContestantTls,
  flags: readonly string[] = [],
): Promise<Contestants> {
  const cluster: EtcdCluster = await startEtcd(tls === undefined ? {} : { clientTls: tls.etcd });
  const [endpoint] = cluster.endpoints as [string];
  const [url] = cluster.urls as [string];
  const incumbentAddress = `127.0.0.1:${await takePort()}`;
  const args = (address: string) => [
    'start',
    `--endpoints=${url}`,
    `--listen-addr=${address}`,
    ...(tls?.flags ?? []),
  ];
  const incumbent = await startProcess(cluster.install.etcd, ['grpc-proxy', ...args(incumbentAddress)], {
    keep: 10_000,
  });
  await incumbent.waitForLine(/started gRPC proxy/, 30_000);
  const ours = await startProcess(LAUNCHER, [...args('127.0.0.1:0'), ...flags]);
  const line = await ours.waitForLine(/started gRPC proxy/, 30_000);
  await sleep(500);
  return {
    version: cluster.install.version,
    etcd: { name: 'etcd', address: endpoint, pid: cluster.first.pid as number },
    incumbent: { name: 'etcd grpc-proxy', address: incumbentAddress, pid: incumbent.pid },
    ours: {
      name: 'etcd-connect-proxy',
      address: (JSON.parse(line) as { address: string }).address,
      pid: ours.pid,
    },
    async [Symbol.asyncDispose]() {
      await stopAll([ours, incumbent]);
      await cluster.stop();
    },
  };
}

async function stopAll(processes: readonly RunningProcess[]): Promise<void> {
  for (const process of processes) await process.stop();
}
