/**
 * Where a failing member is rehearsed: a cluster whose members can be cut off from each other, and the ways on which the
 * proxy reaches them: a relay to each member, or a load balancer, or a name whose addresses can move.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EtcdCluster, type EtcdMember, type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { leaderIndex, untilStatus } from '../support/members.ts';
import { takePort } from '../support/ports.ts';
import { tempDir } from '../support/process.ts';
import { Relay } from '../support/relay.ts';
import { Balancer } from './balancer.ts';

/** What a stage needs. */
export interface StageOptions {
  readonly etcd?: EtcdOptions;
  /** How members are reached; directly, as endpoints, by default. */
  readonly way?: 'members' | 'balancer' | 'name';
  /** Which member is in use when it fails; a learner is a fourth one. */
  readonly use: 'follower' | 'leader' | 'learner';
  /** Whether a member of another cluster is an endpoint too, the last one. */
  readonly stranger?: boolean;
}

const NAME = 'etcd.test';
const LOOKUP = pathToFileURL(join(import.meta.dirname, 'lookup.mjs')).href;

/** The addresses of the name, before and after it moves: every system has these, where it is Linux. */
const HOSTS = [
  ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
  ['127.0.0.5', '127.0.0.6', '127.0.0.7'],
] as const;

/** The cluster and the ways to it. */
export class Stage implements AsyncDisposable {
  readonly cluster: EtcdCluster;
  /** All that is an endpoint; what is no voter of the cluster comes last. */
  readonly members: readonly EtcdMember[];
  /** The index of the member that will fail. */
  readonly victim: number;
  readonly way: 'members' | 'balancer' | 'name';
  /** Relays of the proxy to the members, in their order. */
  readonly relays: Relay[] = [];
  readonly balancers: Balancer[] = [];
  readonly #stack = new AsyncDisposableStack();
  #port = 0;
  #hostsFile = '';

  private constructor(
    cluster: EtcdCluster,
    members: readonly EtcdMember[],
    victim: number,
    way: Stage['way'],
  ) {
    this.cluster = this.#stack.use(cluster);
    this.members = members;
    this.victim = victim;
    this.way = way;
  }

  /** Starts the cluster and opens the ways. */
  static async open({ etcd, way = 'members', use, stranger = false }: StageOptions): Promise<Stage> {
    const cluster = await startEtcd({ ...etcd, members: 3, peerRelays: true });
    const members = [...cluster.members];
    if (use === 'learner') {
      const learner = await cluster.addLearner();
      await untilStatus(learner, ({ isLearner, leader }) => isLearner && leader !== 0n, 'a learner');
      members.push(learner);
    }
    const other = stranger ? await startEtcd({ ...etcd, members: 1 }) : undefined;
    if (other !== undefined) members.push(other.first);
    const leader = await leaderIndex(cluster);
    const victim = { leader, follower: (leader + 1) % 3, learner: 3 }[use];
    const stage = new Stage(cluster, members, victim, way);
    if (other !== undefined) stage.#stack.use(other);
    if (way === 'name') await stage.#giveName();
    else await stage.#openRelays();
    return stage;
  }

  async #openRelays(hosts: readonly string[] = []): Promise<void> {
    for (const [i, { address }] of this.members.entries()) {
      const host = hosts[i];
      const listen = host === undefined ? {} : { listen: { host, port: this.#port } };
      this.relays.push(this.#stack.use(await Relay.open(address, listen)));
    }
  }

  async #giveName(): Promise<void> {
    this.#port = await takePort();
    this.#hostsFile = join(await tempDir('hosts'), 'hosts');
    await this.#openRelays(HOSTS[0]);
    await this.#resolveTo(HOSTS[0]);
  }

  #resolveTo(hosts: readonly string[]): Promise<void> {
    return writeFile(this.#hostsFile, `${[NAME, ...hosts].join(' ')}\n`);
  }

  /** All addresses of the name fall silent and take no more connections, and the name has others. */
  async moveName(): Promise<void> {
    for (const relay of this.relays) {
      relay.hold();
      relay.refuse();
    }
    await this.#openRelays(HOSTS[1]);
    await this.#resolveTo(HOSTS[1]);
  }

  /** A member that stays as it is. */
  get witness(): EtcdMember {
    return this.others[0] as EtcdMember;
  }

  /** The voters beside the member that fails. */
  get others(): EtcdMember[] {
    return this.cluster.members.filter((_, i) => i !== this.victim);
  }

  /** What the proxy is told to connect to, with its environment. */
  async proxyEndpoints(): Promise<{ endpoints: string[]; env: NodeJS.ProcessEnv }> {
    if (this.way === 'balancer') return { endpoints: [await this.openBalancer()], env: {} };
    if (this.way === 'members') return { endpoints: this.relays.map(({ address }) => address), env: {} };
    const env = { NODE_OPTIONS: `--import=${LOOKUP}`, TEST_HOSTS: this.#hostsFile };
    return { endpoints: [`${NAME}:${this.#port}`], env };
  }

  /** What other servers and clients connect to. */
  async endpoints(): Promise<string[]> {
    return this.way === 'balancer' ? [await this.openBalancer()] : this.members.map(({ address }) => address);
  }

  /** A balancer for one user, whose first connection goes to the member that will fail. */
  async openBalancer(): Promise<string> {
    const addresses = this.members.map(({ address }) => address);
    const balancer = this.#stack.use(await Balancer.open(addresses, this.victim));
    this.balancers.push(balancer);
    return balancer.address;
  }

  /** Leaves only the member that will fail to connect to; the connections there are stay. */
  allowOnlyVictim(): void {
    for (const [i, relay] of this.relays.entries()) if (i !== this.victim) relay.refuse();
  }

  allowAll(): void {
    for (const relay of this.relays) relay.accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
