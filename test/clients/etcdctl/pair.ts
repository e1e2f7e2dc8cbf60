/**
 * Two fresh, identical etcds, one of them behind the proxy, and scenarios that run on both in lock-step: whatever
 * etcdctl shows of one it must show of the other.
 */
import { type EtcdCluster, type EtcdInstall, etcdctl, startEtcd } from '../../support/etcd.ts';
import { startTarget, type Target } from '../target.ts';
import { Side } from './side.ts';
import { assertSame } from './transcript.ts';

/** A series of commands that is the same on both sides. */
export type Scenario = (side: Side) => Promise<void>;

export class Pair implements AsyncDisposable {
  readonly #plain: EtcdCluster;
  readonly #proxied: EtcdCluster;
  readonly #target: Target;

  private constructor(plain: EtcdCluster, proxied: EtcdCluster, target: Target) {
    this.#plain = plain;
    this.#proxied = proxied;
    this.#target = target;
  }

  static async start(install: EtcdInstall): Promise<Pair> {
    const settings = { install, bcryptCost: 4, watchProgressIntervalMs: 200 };
    const [plain, proxied] = await Promise.all([startEtcd(settings), startEtcd(settings)]);
    return new Pair(plain, proxied, await startTarget(proxied));
  }

  /** Runs a scenario on both etcds. */
  lockStep(ctl: EtcdInstall, scenario: Scenario): Promise<void> {
    const plain = this.#plain.first;
    return compare(
      new Side(ctl, plain.address, plain),
      new Side(ctl, this.#target.address, this.#proxied.first),
      scenario,
      false,
    );
  }

  /** Runs a scenario that only reads on the etcd behind the proxy, past the proxy and through it. */
  async sameEtcd(ctl: EtcdInstall, scenario: Scenario): Promise<void> {
    const member = this.#proxied.first;
    for (const etcd of [this.#plain, this.#proxied]) {
      for (const key of ['a', 'b', 'b/1', 'c']) await etcdctl(ctl, etcd.first.address, ['put', key, 'ü €']);
      // Brings what waits to be written onto the disk, after which reads find the same sizes each time.
      await etcdctl(ctl, etcd.first.address, ['defrag']);
    }
    await compare(
      new Side(ctl, member.address, member),
      new Side(ctl, this.#target.address, member),
      scenario,
      true,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target[Symbol.asyncDispose]();
    await Promise.all([this.#plain.stop(), this.#proxied.stop()]);
  }
}

async function compare(direct: Side, proxied: Side, scenario: Scenario, sameEtcd: boolean): Promise<void> {
  const outcomes = await Promise.allSettled([scenario(direct), scenario(proxied)]);
  for (const [at, name] of ['direct', 'through the proxy'].entries()) {
    const outcome = outcomes[at];
    if (outcome?.status === 'rejected')
      throw new Error(`${name}: ${outcome.reason}`, { cause: outcome.reason });
  }
  assertSame(direct, proxied, sameEtcd);
}
