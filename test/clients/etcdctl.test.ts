/**
 * etcdctl of every release at hand cannot tell the proxy from etcd: each scenario runs on two fresh, identical
 * etcds, one of them behind the proxy, and exit codes and outputs are the same. The server is the newest etcd, for an
 * older etcdctl only if there is time, and for the scenarios that are most a matter of versions the one of its own release.
 */
import { after, describe, test } from 'node:test';
import { atLeast, type EtcdInstall, newestEtcd } from '../support/etcd.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { Pair, type Scenario } from './etcdctl/pair.ts';
import * as basics from './etcdctl/scenarios.ts';
import { auth } from './etcdctl/scenarios-auth.ts';
import * as cluster from './etcdctl/scenarios-cluster.ts';
import * as watch from './etcdctl/scenarios-watch.ts';

/** In the order in which they run; those that read the same etcd on both sides come as pairs with `same`. */
const SCENARIOS: readonly (readonly [name: string, scenario: Scenario, kind?: 'same' | 'own version'])[] = [
  ['put, get, del', basics.keys, 'own version'],
  ['large values', basics.largeValues],
  ['txn', basics.transactions],
  ['get of the same etcd', basics.rawReads, 'same'],
  ['member list, endpoint status, hashkv', cluster.facts, 'same'],
  ['endpoint health, alarm list', cluster.health, 'same'],
  ['snapshot save and status', cluster.snapshot, 'same'],
  ['lease', basics.leases, 'own version'],
  ['lease revoked under a keep-alive', basics.leaseRevokedElsewhere],
  ['lock', basics.locks],
  ['elect', basics.elections],
  ['watch of the past', watch.watchesOfThePast, 'own version'],
  ['watch', watch.watches, 'own version'],
  ['watch with a command', watch.watchExec],
  ['watch of what cannot be watched', watch.watchErrors, 'own version'],
  ['watch --interactive', watch.watchInteractive, 'own version'],
  ['watch --progress-notify', watch.watchProgress],
  ['make-mirror', watch.mirror],
  ['compaction, defrag, alarm, move-leader', cluster.maintenance],
  ['member add, promote, update, remove', cluster.members],
  ['user, role, auth', auth, 'own version'],
  ['watch from now on', watch.watchNow],
];

/** The pair that the scenarios of a release share, until one fails and leaves it in no known state. */
class SharedPair {
  readonly #server: EtcdInstall;
  #pair: Pair | undefined;

  constructor(server: EtcdInstall) {
    this.#server = server;
  }

  async run(ctl: EtcdInstall, scenario: Scenario, same: boolean): Promise<void> {
    this.#pair ??= await Pair.start(this.#server);
    try {
      if (same) await this.#pair.sameEtcd(ctl, scenario);
      else await this.#pair.lockStep(ctl, scenario);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#pair?.[Symbol.asyncDispose]();
    this.#pair = undefined;
  }
}

/** Why an etcdctl cannot run a scenario; false where it can. */
function lacks(ctl: EtcdInstall, name: string): string | false {
  return name === 'watch --progress-notify' && !atLeast(ctl, 3, 5) && 'before 3.5 etcdctl has no such flag';
}

function suite(ctl: EtcdInstall, server: EtcdInstall): void {
  const full = server.version === newest.version;
  describe(`etcdctl ${ctl.version} with etcd ${server.version}`, () => {
    const pair = new SharedPair(server);
    after(() => pair.stop());
    for (const [name, scenario, kind] of SCENARIOS) {
      const skip = lacks(ctl, name);
      if (full || kind === 'own version')
        test(name, { skip }, () => pair.run(ctl, scenario, kind === 'same'));
    }
  });
}

const newest = await newestEtcd();
for (const ctl of await outerEtcds()) {
  if (ctl.etcdctl === undefined) {
    test(`etcdctl ${ctl.version}`, { skip: 'this etcd has no etcdctl at hand' });
    continue;
  }
  if (LONG || ctl.version === newest.version) suite(ctl, newest);
  if (ctl.version !== newest.version) suite(ctl, ctl);
}
