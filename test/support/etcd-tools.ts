/**
 * etcd's own command line tools run against any address, the proxy's or etcd's, so that what they print and how
 * they end can be compared.
 */
import type { EtcdInstall } from '../../scripts/etcd/etcds.ts';
import { noEtcdVariables } from './etcd-member.ts';
import { type Finished, type RunningProcess, type RunOptions, runProcess, startProcess } from './process.ts';

function toolOf(install: EtcdInstall, tool: 'etcdctl' | 'etcdutl'): string {
  const path = install[tool];
  if (path === undefined)
    throw new Error(`etcd ${install.version} (${install.source}) has no ${tool} at hand`);
  return path;
}

/** etcdctl's own limits, 2 s for a connection and 5 s for an answer, are short for a busy machine. A test's own go before. */
const PATIENT = ['--dial-timeout=5s', '--command-timeout=15s'];

function commonArgs(endpoints: string | readonly string[]): string[] {
  return [`--endpoints=${typeof endpoints === 'string' ? endpoints : endpoints.join(',')}`, ...PATIENT];
}

/** Runs etcdctl to its end. */
export function etcdctl(
  install: EtcdInstall,
  endpoints: string | readonly string[],
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const env = { ...noEtcdVariables, ...options.env };
  return runProcess(toolOf(install, 'etcdctl'), [...commonArgs(endpoints), ...args], { ...options, env });
}

/** Starts an etcdctl that goes on, such as `watch` or `lock`. */
export function startEtcdctl(
  install: EtcdInstall,
  endpoints: string | readonly string[],
  args: readonly string[],
): Promise<RunningProcess> {
  const all = [...commonArgs(endpoints), ...args];
  return startProcess(toolOf(install, 'etcdctl'), all, { env: noEtcdVariables });
}

/** Runs etcdutl, which works on files such as snapshots. */
export function etcdutl(install: EtcdInstall, args: readonly string[]): Promise<Finished> {
  return runProcess(toolOf(install, 'etcdutl'), args, { env: noEtcdVariables });
}
