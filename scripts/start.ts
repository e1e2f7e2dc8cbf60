/**
 * `npm start`: the proxy in front of an etcd that this script provides, or, with `npm start -- --endpoints=...`,
 * in front of a cluster of the user's. Arguments after `--` go to the proxy. Ctrl-C ends both.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import { fetchEtcds } from './etcd/etcds.ts';
import { cachedInstalls, pathInstall, pointedInstall } from './etcd/install.ts';

const LAUNCHER = `${import.meta.dirname}/../bin/etcd-connect-proxy`;

async function main(args: readonly string[]): Promise<void> {
  const ownCluster =
    args.some((arg) => /^--?endpoints(=|$)/.test(arg)) || process.env.ETCD_PROXY_ENDPOINTS !== undefined;
  const etcd = ownCluster ? undefined : await provideEtcd();
  const endpoints = etcd ? [`--endpoints=${etcd.endpoints.join(',')}`] : [];
  try {
    process.exitCode = await runProxy([...endpoints, ...args], etcd);
  } finally {
    await etcd?.stop();
  }
}

/** Starts an etcd of whatever release is quickest to have: one at hand, else Debian's, else any. */
async function provideEtcd(): Promise<EtcdCluster> {
  const install = (await pointedInstall()) ?? (await cachedInstalls()).at(-1) ?? (await pathInstall());
  if (install === undefined) {
    process.stdout.write('getting etcd (once) ...\n');
    await fetchEtcds(['3.5']).catch(() => fetchEtcds());
  }
  return startEtcd(install ? { install } : {});
}

/** Runs the proxy until it ends or the user interrupts; returns its exit code. */
function runProxy(args: readonly string[], etcd: EtcdCluster | undefined): Promise<number> {
  const proxy = spawn(LAUNCHER, ['start', ...args], { stdio: ['ignore', 'inherit', 'pipe'] });
  createInterface(proxy.stderr).on('line', (line) => {
    process.stderr.write(`${line}\n`);
    const address = /"address":"([^"]+)","msg":"started gRPC proxy"/.exec(line)?.[1];
    if (address !== undefined) process.stdout.write(hints(address, etcd));
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => proxy.kill(signal));
  return new Promise((resolve, reject) => {
    proxy.on('error', reject);
    proxy.on('close', (code) => resolve(code ?? 1));
  });
}

function hints(address: string, etcd: EtcdCluster | undefined): string {
  const etcdctl = etcd?.install.etcdctl ?? 'etcdctl';
  const json = "-H 'content-type: application/json'";
  return [
    '',
    etcd
      ? `etcd ${etcd.install.version} is running behind the proxy (its data goes when it stops). Try:`
      : 'Try:',
    '',
    `  ${etcdctl} --endpoints=${address} put greeting hello`,
    `  ${etcdctl} --endpoints=${address} get greeting`,
    `  curl ${json} -d '{"key":"Z3JlZXRpbmc="}' http://${address}/etcdserverpb.KV/Range`,
    `  curl http://${address}/health`,
    '',
    '',
  ].join('\n');
}

await main(process.argv.slice(2));
