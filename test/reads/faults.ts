/** Faults for a cluster under load: wires cut, members killed, the leader moved. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdCluster, EtcdMember } from '../support/etcd.ts';
import { moveLeader } from '../support/leader.ts';
import type { Relay } from '../support/relay.ts';

/** The kinds of faults, in the order in which they come. */
const KINDS = ['cut', 'move', 'kill'] as const;
type Kind = (typeof KINDS)[number];

/** Makes one fault after the other until stopped. */
export class Faults {
  /** How often each kind has happened. */
  readonly done: Record<Kind, number> = { cut: 0, move: 0, kill: 0 };
  /** Why the leader could not be moved, each time. */
  readonly refusals: unknown[] = [];
  readonly #cluster: EtcdCluster;
  readonly #relays: readonly Relay[];

  /** @param relays the wires to the members, in their order */
  constructor(cluster: EtcdCluster, relays: readonly Relay[]) {
    this.#cluster = cluster;
    this.#relays = relays;
  }

  /** Some time passes between two faults, so that clients get something done. */
  async run(stop: AbortSignal, random: () => number): Promise<void> {
    for (let round = 0; !stop.aborted; round++) {
      await sleep(500 + 1000 * random());
      const kind = KINDS[round % KINDS.length] as Kind;
      if (kind === 'cut') for (const relay of this.#relays) relay.cut();
      else if (kind === 'kill') await this.#kill(this.#inUse());
      else if (!(await this.#moveLeader())) continue;
      this.done[kind]++;
    }
  }

  /** The member that the proxy is connected to, else any. */
  #inUse(): EtcdMember {
    const index = this.#relays.findIndex(({ connections }) => connections > 0);
    return this.#cluster.member(Math.max(0, index));
  }

  async #kill(member: EtcdMember): Promise<void> {
    await member.kill('SIGKILL');
    await sleep(200);
    await member.start();
  }

  /** Makes another member the leader; false where there is no leader, or it refuses. */
  async #moveLeader(): Promise<boolean> {
    try {
      return await moveLeader(this.#cluster);
    } catch (error) {
      this.refusals.push(error); // a member that is not ready: a later round tries again
      return false;
    }
  }
}
