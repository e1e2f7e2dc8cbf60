/**
 * Real etcds for tests: one, or a cluster, of any release at hand, on free ports of 127.0.0.1 and on data of
 * their own, gone with the test whatever becomes of it.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdInstall, newestEtcd } from '../../scripts/etcd/etcds.ts';
import { type EtcdSettings, type MemberPlace, peerUrl } from './etcd-flags.ts';
import { EtcdMember, PortClash } from './etcd-member.ts';
import { etcdctl } from './etcd-tools.ts';
import { PeerLinks } from './peer-links.ts';
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
  /** Whether the members reach each other through relays, so that one can be cut off. */
  readonly peerRelays?: boolean;
  /** How long it may take until all members are healthy; a minute by default. */
  readonly startLimitMs?: number;
}

/** A running etcd cluster, often of one member. */
export class EtcdCluster implements AsyncDisposable {
  readonly install: EtcdInstall;
  readonly members: readonly EtcdMember[];
  /** The network between the members, where it was asked for relays. */
  readonly links: PeerLinks | undefined;
  private readonly settings: EtcdSettings;
  private readonly folder: string;
  private readonly places: readonly MemberPlace[];
  private readonly added: EtcdMember[] = [];

  constructor(
    install: EtcdInstall,
    settings: EtcdSettings,
    folder: string,
    places: readonly MemberPlace[],
    links: PeerLinks | undefined,
  ) {
    this.install = install;
    this.settings = settings;
    this.folder = folder;
    this.places = places;
    this.links = links;
    this.members = places.map((place) => new EtcdMember(install, settings, place, places));
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

  /** Adds a learner to the cluster and launches it. */
  addLearner(): Promise<EtcdMember> {
    return this.add(this.members, ['--learner']);
  }

  /** Adds a member that votes to the cluster, which has these by now, and launches it. */
  addMember(present: readonly EtcdMember[]): Promise<EtcdMember> {
    return this.add(present, []);
  }

  private async add(present: readonly EtcdMember[], flags: readonly string[]): Promise<EtcdMember> {
    const name = `m${this.places.length + this.added.length}`;
    const place = await makePlace(this.folder, name, this.links);
    const add = ['member', 'add', place.name, ...flags, `--peer-urls=${peerUrl(place)}`];
    const endpoints = present.map(({ address }) => address);
    for (const deadline = Date.now() + 60_000; ; await sleep(500)) {
      const { code, stderr } = await etcdctl(this.install, endpoints, add);
      // Of a request that timed out nobody knows; the next one is told that the member is there.
      if (code === 0 || stderr.includes('Peer URLs already exists')) break;
      // etcd lets nobody in before its members have known each other for a few seconds, nor during an election.
      if (!/unhealthy cluster|timed out|deadline exceeded|leader/.test(stderr) || Date.now() > deadline)
        throw new Error(`no new member: ${stderr}`);
    }
    const args = [...(this.settings.args ?? []), '--initial-cluster-state=existing'];
    const all = [...present.map((member) => member.place), place];
    const member = new EtcdMember(this.install, { ...this.settings, args }, place, all);
    this.added.push(member);
    await member.launch();
    return member;
  }

  /** Waits until every member serves. */
  async waitHealthy(limitMs = 30_000): Promise<void> {
    await Promise.all(this.members.map((member) => member.waitHealthy(limitMs)));
  }

  /** Ends all members at once and removes their data. */
  async stop(): Promise<void> {
    await Promise.all([...this.members, ...this.added].map((member) => member.kill()));
    await this.links?.[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
    for (const { clientPort, peerPort, metricsPort } of [
      ...this.places,
      ...this.added.map(({ place }) => place),
    ])
      for (const port of [clientPort, peerPort, metricsPort]) returnPort(port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function makePlace(folder: string, name: string, links: PeerLinks | undefined): Promise<MemberPlace> {
  const own = join(folder, name);
  await mkdir(own, { mode: 0o700 });
  const [clientPort, peerPort, metricsPort] = [await takePort(), await takePort(), await takePort()];
  const place = { name, folder: own, clientPort, peerPort, metricsPort };
  return links === undefined ? place : { ...place, peerRelayPort: await links.add(peerPort) };
}

async function startOnce(install: EtcdInstall, options: EtcdOptions): Promise<EtcdCluster> {
  const folder = await tempDir(`etcd-${install.major}.${install.minor}`);
  const places: MemberPlace[] = [];
  const links = options.peerRelays === true ? new PeerLinks() : undefined;
  for (let index = 0; index < (options.members ?? 1); index++)
    places.push(await makePlace(folder, `m${index}`, links));
  const cluster = new EtcdCluster(install, options, folder, places, links);
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
