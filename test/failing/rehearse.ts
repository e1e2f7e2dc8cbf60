/**
 * Rehearses a fault: loads run through each contestant, the fault happens, and what each load's clients got is compared
 * with what is in the store.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from './admin.ts';
import { CallLoad } from './call-load.ts';
import { type Contestant, contestant, type Who } from './contestants.ts';
import type { Fault } from './faults.ts';
import { Heartbeats, ResumingWatch, WaitingLock } from './long-calls.ts';
import { type Outcome, type Raw, summarize } from './outcome.ts';
import { Stage, type StageOptions } from './stage.ts';

/** How to rehearse. */
export interface RehearsalOptions {
  readonly who: readonly Who[];
  /** How long the loads go on after the fault. */
  readonly seconds: number;
  readonly etcd?: StageOptions['etcd'];
}

const DEADLINES_MS = [1_000, 1_000, 3_000, 3_000];
const EVERY_MS = 150;
const TTL_SECONDS = 5;
const LEASES = 4;
/** Load before the fault. */
const BEFORE_MS = 2_000;
/** How long watches and the Lock have to come to their ends once no more is written. */
const SETTLE_MS = 20_000;

/** Everything that runs through one contestant. */
class Scene implements Disposable {
  readonly contestant: Contestant;
  readonly prefix: string;
  readonly load: CallLoad;
  readonly watches: readonly ResumingWatch[];
  readonly heartbeats: Heartbeats;
  readonly lock: WaitingLock;
  readonly leases: readonly bigint[];
  /** Unlocks what the Lock waits for. */
  readonly unlock: () => Promise<void>;

  constructor(
    contestant: Contestant,
    prefix: string,
    from: bigint,
    leases: readonly bigint[],
    unlock: () => Promise<void>,
  ) {
    const { address } = contestant;
    this.contestant = contestant;
    this.prefix = prefix;
    this.leases = leases;
    this.unlock = unlock;
    this.watches = [
      new ResumingWatch(address, `${prefix}put/`, from),
      new ResumingWatch(address, `${prefix}put/`, from, { metadata: { hasleader: 'true' } }),
    ];
    this.heartbeats = new Heartbeats(address, TTL_SECONDS, leases);
    this.lock = new WaitingLock(address, `${prefix}lock`, leases[0] as bigint);
    this.load = new CallLoad(address, { prefix, deadlinesMs: DEADLINES_MS, everyMs: EVERY_MS });
  }

  /** Prepares what the loads need past the member that will fail, and starts them. */
  static async start(contestant: Contestant, admin: Admin): Promise<Scene> {
    const prefix = `${contestant.who}/`;
    const leases: bigint[] = [];
    const from = await admin.put(`${prefix}begin`, new Uint8Array());
    const holder = await admin.lock(`${prefix}lock`, await admin.grant(600));
    for (let i = 0; i < LEASES; i++) leases.push(await admin.grant(TTL_SECONDS));
    return new Scene(contestant, prefix, from, leases, () => admin.unlock(holder));
  }

  /** Waits for the ends of all that was begun, and compares it with the store. */
  async finish(admin: Admin, since: number): Promise<Raw> {
    await this.load.stop();
    const stored = await admin.stored(`${this.prefix}put/`);
    const complete = (): boolean => this.watches.every(({ events }) => events.length >= stored.size);
    for (const until = performance.now() + SETTLE_MS; !complete() && performance.now() < until; )
      await sleep(20);
    for (const lease of this.leases)
      if (!(await admin.lives(lease))) this.heartbeats.lost.set(lease, 'expired in etcd');
    await this.unlock();
    await Promise.race([this.lock.ended, sleep(SETTLE_MS, undefined, { ref: false })]);
    return {
      who: this.contestant.who,
      since,
      samples: this.load.samples,
      stored,
      watches: this.watches,
      lostLeases: [...this.heartbeats.lost.values()],
      lock: this.lock.outcome,
      switches: await switchesOf(this.contestant),
    };
  }

  [Symbol.dispose](): void {
    for (const watch of this.watches) watch.close();
    this.heartbeats.close();
    this.lock.close();
  }
}

/** How often the proxy has changed the endpoint it uses: by its metric, or by its log where it has none. */
export async function switchesOf({ proxy }: Contestant): Promise<number | undefined> {
  if (proxy === undefined) return undefined;
  const page = await (await fetch(`${proxy.url}/metrics`)).text();
  const counts = [...page.matchAll(/^etcd_proxy_upstream_switches_total(?:\{.*\})? (\d+)$/gm)];
  if (counts.length > 0) return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  return proxy.stderr.filter((line) => line.includes('"connected to etcd"')).length - 1;
}

/** Rehearses a fault and tells what became of each contestant's load. */
export async function rehearse(fault: Fault, options: RehearsalOptions): Promise<Outcome[]> {
  await using stage = await Stage.open({
    ...fault.stage,
    etcd: { ...fault.stage.etcd, ...options.etcd },
  });
  await fault.prepare?.(stage);
  await using contestants = new AsyncDisposableStack();
  const admin = new Admin(stage.witness.address);
  const there: Contestant[] = [];
  for (const who of options.who) {
    const one = await contestant(stage, who);
    if (one !== undefined) there.push(contestants.use(one));
  }
  using scenes = new DisposableStack();
  const running: Scene[] = [];
  for (const one of there) running.push(scenes.use(await Scene.start(one, admin)));
  if (fault.stage.use !== 'learner') await sleep(BEFORE_MS);
  const { since, end } = await fault.inject(stage);
  try {
    await sleep(Math.max(0, since + options.seconds * 1000 - performance.now()));
    const seen = await Promise.all(running.map((scene) => scene.finish(admin, since)));
    return seen.map(summarize);
  } finally {
    await end();
  }
}
