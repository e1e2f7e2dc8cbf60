/**
 * Real etcds for tests: one, or a cluster, of any release at hand, on free ports of 127.0.0.1 and on data of
 * their own, gone with the test whatever becomes of it.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type EtcdInstall, newestEtcd } from '../../scripts/etcd/etcds.ts';
import type { EtcdSettings, MemberPlace } from './etcd-flags.ts';
import { EtcdMember, PortClash } from './etcd-member.ts';
import { etcdctl } from './etcd-tools.ts';
import { returnPort, takePort } from './ports.ts';
import { type Finished, type RunOptions, tempDir } from './process.ts';

export { availableEtcds, type EtcdInstall, newestEtcd } from '../../scripts/etcd/etcds.ts';
export { atLeast, type ClientTls, type EtcdSettings, experimental } from './etcd-flags.ts';
export type { EtcdMember } from './etcd-member.ts';
export { etcdctl, etcdutl, startEtcdctl } from './etcd-tools.ts';

/** Which etcd to start and how. */
export interface EtcdOptions extends EtcdSettings {
  /** The release; the newest at hand by default. */
  readonly install?: EtcdInstall;
  /** How many members; one by default. */
  readonly members?: number;
  /** How long it may take until all members are healthy; a minute by default. */
  readonly startLimitMs?: number;
}

/** A running etcd cluster, often of one member. */
export class EtcdCluster implements AsyncDisposable {
  readonly install: EtcdInstall;
  readonly members: readonly EtcdMember[];
  private readonly folder: string;
  private readonly ports: readonly number[];

  constructor(install: EtcdInstall, settings: EtcdSettings, folder: string, places: readonly MemberPlace[]) {
    this.install = install;
    this.folder = folder;
    this.members = places.map((place) => new EtcdMember(install, settings, place, places));
    this.ports = places.flatMap((place) => [place.clientPort, place.peerPort, place.metricsPort]);
  }

  /** The first member. */
  get first(): EtcdMember {
    return this.member(0);
  }

  /** The members' client addresses as `host:port`. */
  get endpoints(): string[] {
    return this.members.map((member) => member.address);
  }

  /** The members' client addresses as URLs. */
  get urls(): string[] {
    return this.members.map((member) => member.url);
  }

  /** The member of an index. */
  member(index: number): EtcdMember {
    const member = this.members[index];
    if (member === undefined) throw new Error(`the cluster has no member ${index}`);
    return member;
  }

  /** Runs the release's own etcdctl against all members. */
  etcdctl(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return etcdctl(this.install, this.endpoints, args, options);
  }

  /** Waits until every member serves. */
  async waitHealthy(limitMs = 30_000): Promise<void> {
    await Promise.all(this.members.map((member) => member.waitHealthy(limitMs)));
  }

  /** Ends all members at once and removes their data. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
    for (const port of this.ports) returnPort(port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function makePlace(folder: string, name: string): Promise<MemberPlace> {
  const own = join(folder, name);
  await mkdir(own, { mode: 0o700 });
  const [clientPort, peerPort, metricsPort] = [await takePort(), await takePort(), await takePort()];
  return { name, folder: own, clientPort, peerPort, metricsPort };
}

async function startOnce(install: EtcdInstall, options: EtcdOptions): Promise<EtcdCluster> {
  const folder = await tempDir(`etcd-${install.major}.${install.minor}`);
  const places: MemberPlace[] = [];
  for (let index = 0; index < (options.members ?? 1); index++)
    places.push(await makePlace(folder, `m${index}`));
  const cluster = new EtcdCluster(install, options, folder, places);
  try {
    await Promise.all(cluster.members.map((member) => member.launch()));
    await cluster.waitHealthy(options.startLimitMs ?? 60_000);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** Starts an etcd and waits until it serves. A port that something else takes meanwhile makes it try again. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdCluster> {
  const install = options.install ?? (await newestEtcd());
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(install, options);
    } catch (error) {
      if (!(error instanceof PortClash) || tries === 5) throw error;
    }
  }
}
