/**
 * The proxy as a test runs it: the built program in a process of its own, on a port that the system chooses,
 * gone with the test whatever becomes of it.
 */
import { join } from 'node:path';
import { type Exit, type RunningProcess, startProcess } from './process.ts';

/** Which etcd the proxy stands in front of and how it is started. */
export interface ProxyOptions {
  /** The endpoints, as `--endpoints` takes them; empty: the flag is not given. */
  readonly endpoints: readonly string[];
  /** More flags of `start`, such as `--max-send-bytes=1000`; they come after the ones set here and so win. */
  readonly flags?: readonly string[];
  /** Added to the environment; `undefined` takes a variable away. */
  readonly env?: NodeJS.ProcessEnv;
  /** How long it may take until it listens; 30 seconds by default. */
  readonly startLimitMs?: number;
}

/** A flag: clients that ask for the members of the cluster are told those of etcd, as without the proxy. */
export const REAL_MEMBERS = '--advertise-client-url=';

const program = join(import.meta.dirname, '..', '..', 'bin', 'etcd-connect-proxy');

/** This process's variables that the proxy would take as flags, taken away. */
const noProxyVariables: NodeJS.ProcessEnv = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => name.startsWith('ETCD_PROXY_'))
    .map((name) => [name, undefined]),
);

/** A running proxy. */
export class RunningProxy implements AsyncDisposable {
  /** Where it listens, as `host:port`. */
  readonly address: string;
  /** Where it listens, as a URL. */
  readonly url: string;
  readonly process: RunningProcess;

  constructor(address: string, process: RunningProcess) {
    this.address = address;
    this.url = `http://${address}`;
    this.process = process;
  }

  /** What it has logged, line by line. */
  get stderr(): string[] {
    return this.process.stderr.split('\n').filter((line) => line !== '');
  }

  /** Ends it in the orderly way, by force where that takes too long. */
  stop(limitMs?: number): Promise<Exit> {
    return this.process.stop('SIGTERM', limitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function addressIn(line: string): string {
  const { address } = JSON.parse(line) as { readonly address?: unknown };
  if (typeof address !== 'string') throw new Error(`the proxy started without an address: ${line}`);
  return address;
}

/** Starts the proxy and waits until it listens. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const args = [
    'start',
    ...(options.endpoints.length > 0 ? [`--endpoints=${options.endpoints.join(',')}`] : []),
    '--listen-addr=127.0.0.1:0',
    ...(options.flags ?? []),
  ];
  const running = await startProcess(program, args, { env: { ...noProxyVariables, ...options.env } });
  try {
    const line = await running.waitForLine(/"started gRPC proxy"/, options.startLimitMs ?? 30_000);
    return new RunningProxy(addressIn(line), running);
  } catch (error) {
    await running.stop();
    throw error;
  }
}
