/** The ways in which the member in use stops to serve while its clients still reach it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { removeMember, statusOf } from '../support/members.ts';
import { until } from '../support/until.ts';
import { Admin } from './admin.ts';
import type { Stage, StageOptions } from './stage.ts';

/** A fault under way. */
export interface UnderWay {
  /** From when on service is due again, in milliseconds of `performance.now()`. */
  readonly since: number;
  /** Ends it. */
  end(): Promise<void>;
}

/** A kind of fault. */
export interface Fault {
  readonly name: string;
  readonly stage: StageOptions;
  /** The connection breaks, and with it a Lock that waits: asked again at once it could be taken from its holder. */
  readonly breaksConnection?: true;
  /** Before anything connects. */
  prepare?(stage: Stage): Promise<void>;
  inject(stage: Stage): Promise<UnderWay>;
}

const nothing = async (): Promise<void> => {};
const victimOf = (stage: Stage) => stage.members[stage.victim] as (typeof stage.members)[number];

/** Waits until the others follow another leader; where the member that fails did not lead they do at once. */
async function newLeader(stage: Stage, old: bigint): Promise<void> {
  await until('the others have a new leader', async () => {
    const views = await Promise.all(stage.others.map((member) => statusOf(member).catch(() => undefined)));
    return views.every((view) => view !== undefined && view.leader !== 0n && view.leader !== old);
  });
}

/** A fault of the member in use; where it leads, service is due from the next leader on. */
async function ofMember(stage: Stage, strike: () => Promise<void> | void, leads: boolean): Promise<number> {
  const { id } = await statusOf(victimOf(stage));
  const since = performance.now();
  await strike();
  if (!leads) return since;
  await newLeader(stage, id);
  return performance.now();
}

const cut = (use: 'follower' | 'leader'): Fault => ({
  name: `is cut off from its peers (${use})`,
  stage: { use },
  async inject(stage) {
    const { id } = await statusOf(victimOf(stage));
    const strike = () => stage.cluster.links?.cut(stage.victim, id);
    const since = await ofMember(stage, strike, use === 'leader');
    return { since, end: async () => stage.cluster.links?.heal(stage.victim, id) };
  },
});

const hang = (use: 'follower' | 'leader'): Fault => ({
  name: `hangs (${use})`,
  stage: { use },
  async inject(stage) {
    const since = await ofMember(stage, () => victimOf(stage).pause(), use === 'leader');
    return { since, end: async () => victimOf(stage).resume() };
  },
});

/** What is measured where nothing fails. */
const nothingFails: Fault = {
  name: 'does not fail',
  stage: { use: 'follower' },
  async inject() {
    return { since: performance.now(), end: nothing };
  },
};

/** It is there from the start, and the proxy has nothing else to connect to until the others let it in. */
const learner: Fault = {
  name: 'is a learner',
  stage: { use: 'learner' },
  async inject() {
    return { since: performance.now(), end: nothing };
  },
};

/** A database of so many MiB. */
const defragments = (use: 'follower' | 'leader', mib: number): Fault => ({
  name: `defragments ${mib} MiB (${use})`,
  stage: { use, etcd: { quotaBackendBytes: 4 * 2 ** 30 } },
  prepare: (stage) => new Admin(stage.witness.address).fill(mib),
  async inject(stage) {
    const since = performance.now();
    const over = new Admin(victimOf(stage).address).defragment();
    return { since, end: () => over };
  },
});

const removed: Fault = {
  name: 'was removed from its cluster',
  stage: { use: 'follower' },
  breaksConnection: true,
  async inject(stage) {
    const since = await removeMember(stage.cluster, stage.victim);
    return { since, end: nothing };
  },
};

const stopped: Fault = {
  name: 'is stopped (SIGTERM)',
  stage: { use: 'follower' },
  breaksConnection: true,
  async inject(stage) {
    const since = performance.now();
    const over = victimOf(stage).kill('SIGTERM');
    return { since, end: async () => void (await over) };
  },
};

const stuckBackend: Fault = {
  name: 'is behind a load balancer and stuck there',
  stage: { use: 'follower', way: 'balancer' },
  async inject(stage) {
    for (const balancer of stage.balancers) balancer.stick(stage.victim);
    const end = async (): Promise<void> => {
      for (const balancer of stage.balancers) balancer.repair();
    };
    return { since: performance.now(), end };
  },
};

const STALL_MS = 2_500;
const BREATHE_MS = 1_500;

/** What a disk that stalls does to etcd: nothing for a while, then everything at once, again and again. */
const stalls: Fault = {
  name: 'has a disk that stalls',
  stage: { use: 'follower' },
  async inject(stage) {
    const member = victimOf(stage);
    const over = new AbortController();
    const since = performance.now();
    const stalling = (async () => {
      while (!over.signal.aborted) {
        member.pause();
        await sleep(STALL_MS);
        member.resume();
        await sleep(BREATHE_MS);
      }
    })();
    const end = async (): Promise<void> => {
      over.abort();
      await stalling;
    };
    return { since, end };
  },
};

const nameMoves: Fault = {
  name: 'has a name whose addresses all die and move',
  stage: { use: 'follower', way: 'name' },
  async inject(stage) {
    const since = performance.now();
    await stage.moveName();
    return { since, end: nothing };
  },
};

/** Every fault, by a short name. */
export const faults = {
  nothingFails,
  cutFollower: cut('follower'),
  cutLeader: cut('leader'),
  learner,
  defragments: defragments('follower', 512),
  defragmentsLeader: defragments('leader', 512),
  defragmentsLittle: defragments('follower', 320),
  hangs: hang('follower'),
  leaderHangs: hang('leader'),
  removed,
  stopped,
  stuckBackend,
  stalls,
  nameMoves,
} satisfies Record<string, Fault>;
