/**
 * One etcd process of a test: it can be killed, stopped, held still, and started again in the same place with
 * the same data, and it counts as started when it reports itself healthy.
 */
import { rm } from 'node:fs/promises';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdInstall } from '../../scripts/etcd/etcds.ts';
import { clientUrl, type EtcdSettings, type MemberPlace, memberArgs, unixSocketOf } from './etcd-flags.ts';
import { type Exit, type RunningProcess, startProcess } from './process.ts';
import { until } from './until.ts';

/** The etcd could not have one of its ports. */
export class PortClash extends Error {}

/** This process's variables that etcd and its tools would take as settings, taken away. */
export const noEtcdVariables: NodeJS.ProcessEnv = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /^ETCD(CTL|UTL)?_/.test(name))
    .map((name) => [name, undefined]),
);

function healthy(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const options = { host: '127.0.0.1', port, path: '/health', agent: false, timeout: 2_000 };
  const request = get(options, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  request.on('timeout', () => request.destroy());
  request.on('close', () => resolve(false));
  request.on('error', () => resolve(false));
  return promise;
}

/** One etcd of a cluster. */
export class EtcdMember {
  readonly name: string;
  /** Where clients connect, as `host:port`. */
  readonly address: string;
  /** Where clients connect, as a URL: http, or https where the cluster serves TLS. */
  readonly url: string;
  /** Where `/metrics` and `/health` are served over plain HTTP, whatever the clients' side needs. */
  readonly metricsUrl: string;
  /** The path of its unix socket, where the cluster was asked for it. */
  readonly unixSocket: string | undefined;
  /** The folder of its data. */
  readonly folder: string;
  readonly place: MemberPlace;
  private readonly etcd: string;
  private readonly args: readonly string[];
  private process: RunningProcess | undefined;

  constructor(install: EtcdInstall, settings: EtcdSettings, place: MemberPlace, all: readonly MemberPlace[]) {
    this.name = place.name;
    this.folder = place.folder;
    this.place = place;
    this.address = `127.0.0.1:${place.clientPort}`;
    this.url = clientUrl(place, settings);
    this.metricsUrl = `http://127.0.0.1:${place.metricsPort}`;
    this.unixSocket =
      settings.unixSocket === true
        ? unixSocketOf(install, place, settings.clientTls !== undefined)[0]
        : undefined;
    this.etcd = install.etcd;
    this.args = memberArgs(install, settings, place, all);
  }

  /** The process id, or undefined where it does not run. */
  get pid(): number | undefined {
    return this.process?.exit === undefined ? this.process?.pid : undefined;
  }

  /** The last of what etcd has logged since its latest start. */
  get log(): string {
    return this.process?.stderr ?? '';
  }

  /** Starts etcd without waiting for it to be of use, as a cluster without a majority never is. */
  async launch(): Promise<void> {
    if (this.pid !== undefined) throw new Error(`${this.name} runs already`);
    if (this.unixSocket !== undefined) await rm(this.unixSocket, { force: true }); // 3.4 stumbles over a left one
    const options = { cwd: this.folder, env: noEtcdVariables, keep: 100_000 };
    this.process = await startProcess(this.etcd, this.args, options);
  }

  /** Waits until etcd serves: it listens and its cluster has a leader. */
  async waitHealthy(limitMs = 30_000): Promise<void> {
    const serves = async (): Promise<boolean> => {
      if (await healthy(this.place.metricsPort)) return true;
      const exit = this.process?.exit;
      if (this.process !== undefined && exit === undefined) return false;
      if (/address already in use/.test(this.log)) throw new PortClash(`${this.name}: a port is in use`);
      throw this.failure(`ended ${JSON.stringify(exit)}`);
    };
    await until(() => this.failure('not healthy').message, serves, limitMs);
  }

  /** Starts etcd in the same place with the same data, and waits until it serves. */
  async start(limitMs = 30_000): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.launch();
      try {
        return await this.waitHealthy(limitMs);
      } catch (error) {
        if (!(error instanceof PortClash) || tries === 10) throw error;
        await sleep(200);
      }
    }
  }

  /** Stops etcd and starts it again. */
  async restart(limitMs = 30_000): Promise<void> {
    await this.stop();
    await this.start(limitMs);
  }

  /** Ends etcd by a signal, SIGKILL by default, and waits for its end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit | undefined> {
    this.process?.signal(signal);
    return this.process?.waitForExit(20_000);
  }

  /** Ends etcd in the orderly way. */
  async stop(): Promise<void> {
    this.resume();
    await this.process?.stop();
  }

  /** Holds etcd still: its connections stay, nothing is answered. */
  pause(): void {
    this.process?.signal('SIGSTOP');
  }

  /** Lets a paused etcd go on. */
  resume(): void {
    this.process?.signal('SIGCONT');
  }

  private failure(what: string): Error {
    return new Error(`etcd ${this.name}: ${what}\n${this.log.slice(-6_000)}`);
  }
}
