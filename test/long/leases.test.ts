/**
 * Very many clients, each with a lease and a connection of its own, in the rhythm of etcd's Go client: through the leader, through
 * a follower with 5 ms between the members, and while the endpoint in use is killed or frozen. No lease is lost, and etcd
 * counts the streams. `LONG=1` does it with 5 000 clients for a minute; `LEASES` and `LEASE_SECONDS` set other numbers. Without it,
 * few clients on the leader are enough: `test/lease/` has small forms of the rest.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { grant } from '../lease/beats.ts';
import { KeptLeases, type LeaseSource } from '../lease/kept-leases.ts';
import { type EtcdCluster, type EtcdMember, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric, streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG, newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';

const LEASES = Number(process.env.LEASES ?? (LONG ? 5000 : 200));
const SECONDS = Number(process.env.LEASE_SECONDS ?? (LONG ? 60 : 4));
const TTL = 10;
/** What a third of the time to live, the clients' rhythm, makes of that. */
const ANSWERS = Math.floor((LEASES * SECONDS * 3) / TTL / 2);
/** More than a heartbeat directly, in milliseconds; only where the machine has nothing else to do. */
const MORE_MS = 1;

/** The leases of all clients, each granted when its client begins. */
const granted = (client: RawGrpcClient): LeaseSource => ({ count: LEASES, grant: () => grant(client, TTL) });

/** Keeps the leases of all clients, and says how many streams etcd had at most. */
async function keep(address: string, member: EtcdMember, leases: LeaseSource): Promise<[KeptLeases, number]> {
  const kept = await KeptLeases.begin(address, leases, { ttlSeconds: TTL, perConnection: 1, spread: true });
  let streams = 0;
  for (const end = performance.now() + SECONDS * 1000; performance.now() < end; await sleep(250))
    streams = Math.max(streams, await streamsInProgress(member.metricsUrl, 'LeaseKeepAlive'));
  assert.deepEqual([...kept.lost], []);
  assert.deepEqual(kept.endings, []);
  assert.ok(kept.answers >= ANSWERS, `${kept.answers} answers`);
  return [kept, streams];
}

async function memberThat(etcd: EtcdCluster, leads: boolean): Promise<EtcdMember> {
  for (const member of etcd.members)
    if ((await etcdMetric(member.metricsUrl, 'etcd_server_is_leader')) === Number(leads)) return member;
  throw new Error('there is none');
}

for (const install of await newestEtcds())
  describe(`etcd ${install.version}, ${LEASES} clients`, () => {
    test('are one stream, as prompt as directly', async (context) => {
      await using etcd = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: etcd.endpoints });
      using client = new RawGrpcClient(proxy.address);
      const [kept, streams] = await keep(proxy.address, etcd.first, granted(client));
      const through = kept.quantile(0.5);
      await kept[Symbol.asyncDispose]();
      assert.ok(streams === 1 || !LONG, `${streams} streams`);
      assert.ok(streams <= 2, `${streams} streams`);
      await until('the streams of clients are over', async () => {
        return (await metric(proxy.url, 'etcd_proxy_lease_client_streams')) === 0;
      });
      const [direct] = await keep(etcd.first.address, etcd.first, granted(client));
      const directly = direct.quantile(0.5);
      await direct[Symbol.asyncDispose]();
      context.diagnostic(`median ${through.toFixed(2)} ms, directly ${directly.toFixed(2)} ms`);
      if (LONG) assert.ok(through - directly <= MORE_MS, `${through} ms, directly ${directly} ms`);
    });

    test('on a follower with 5 ms between the members are at most 32 streams', {
      skip: !LONG,
    }, async (context) => {
      await using etcd = await startEtcd({ install, members: 3, peerRelays: true });
      etcd.links?.delay(5);
      const member = await memberThat(etcd, false);
      await using proxy = await startProxy({ endpoints: [member.address] });
      using client = new RawGrpcClient(proxy.address);
      const [kept, streams] = await keep(proxy.address, member, granted(client));
      await kept[Symbol.asyncDispose]();
      context.diagnostic(`${streams} streams`);
      assert.ok(streams <= 32, `${streams} streams`);
    });

    for (const fault of ['kill', 'pause'] as const)
      test(`lose nothing when the endpoint in use meets its ${fault}`, { skip: !LONG }, async () => {
        await using etcd = await startEtcd({ install, members: 3, heartbeatMs: 50, electionMs: 500 });
        await using proxy = await startProxy({ endpoints: etcd.endpoints });
        using client = new RawGrpcClient(proxy.address);
        const leases = granted(client);
        await using kept = await KeptLeases.begin(proxy.address, leases, { ttlSeconds: TTL, spread: true });
        await until('all beat', () => kept.answers >= LEASES);
        await etcd.first[fault]();
        const { answers } = kept;
        await until('all beat again', () => kept.answers >= answers + 3 * LEASES, 60_000);
        assert.deepEqual([...kept.lost], []);
        assert.deepEqual(kept.endings, []);
      });
  });
