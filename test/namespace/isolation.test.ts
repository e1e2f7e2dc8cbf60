/** `--namespace-isolation=strict`: what concerns the whole cluster is refused, and leases of elsewhere are not there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { PutRequestSchema, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
  LeaseLeasesResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
} from '#gen/etcdserverpb/lease_pb.js';
import { AlarmRequestSchema } from '#gen/etcdserverpb/maintenance_pb.js';
import {
  CampaignRequestSchema,
  CampaignResponseSchema,
  ProclaimRequestSchema,
  ResignRequestSchema,
} from '#gen/v3electionpb/election_pb.js';
import { LockRequestSchema, LockResponseSchema } from '#gen/v3lockpb/lock_pb.js';
import { Auth, Cluster, Maintenance } from '../../src/etcd/methods.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { METHODS } from '../support/methods.ts';
import { proxyMetrics } from '../support/metrics.ts';
import { type GrpcOutcome, RawGrpcClient } from '../support/raw-grpc.ts';
import { b } from '../support/watch-client.ts';
import { type NamespacedProxy, startNamespaces } from './listeners.ts';

const STRICT = '--namespace-isolation=strict';
const [A, B] = ['a/', 'b/'];
const NOT_FOUND = { code: 5, message: 'etcdserver: requested lease not found' };

const encode = <Desc extends DescMessage>(schema: Desc, value: MessageInitShape<Desc>): Uint8Array =>
  toBinary(schema, create(schema, value));

/** The only reply of a call that went well. */
function replyOf<Desc extends DescMessage>(schema: Desc, outcome: GrpcOutcome): MessageShape<Desc> {
  assert.equal(outcome.code, 0, outcome.message);
  return fromBinary(schema, outcome.messages[0] as Uint8Array);
}

const endOf = ({ code, message }: GrpcOutcome) => ({ code, message });

/** A client of leases. */
class Leases extends RawGrpcClient {
  grant(fields: MessageInitShape<typeof LeaseGrantRequestSchema> = {}): Promise<GrpcOutcome> {
    const request = encode(LeaseGrantRequestSchema, { TTL: 100n, ...fields });
    return this.call('/etcdserverpb.Lease/LeaseGrant', [request]);
  }

  async granted(): Promise<bigint> {
    return replyOf(LeaseGrantResponseSchema, await this.grant()).ID;
  }

  async listed(): Promise<bigint[]> {
    const outcome = await this.call('/etcdserverpb.Lease/LeaseLeases', [new Uint8Array()]);
    return replyOf(LeaseLeasesResponseSchema, outcome).leases.map(({ ID }) => ID);
  }

  async timeToLive(ID: bigint) {
    const request = encode(LeaseTimeToLiveRequestSchema, { ID, keys: true });
    const outcome = await this.call('/etcdserverpb.Lease/LeaseTimeToLive', [request]);
    return replyOf(LeaseTimeToLiveResponseSchema, outcome);
  }

  revoke(ID: bigint): Promise<GrpcOutcome> {
    return this.call('/etcdserverpb.Lease/LeaseRevoke', [encode(LeaseRevokeRequestSchema, { ID })]);
  }

  /** The TTLs that heartbeats for these leases are answered with, in this order, on one stream. */
  async beat(ids: readonly bigint[]) {
    const requests = ids.map((ID) => encode(LeaseKeepAliveRequestSchema, { ID }));
    const { code, messages } = await this.call('/etcdserverpb.Lease/LeaseKeepAlive', requests);
    assert.equal(code, 0);
    return messages.map((message) => fromBinary(LeaseKeepAliveResponseSchema, message));
  }

  put(fields: MessageInitShape<typeof PutRequestSchema>): Promise<GrpcOutcome> {
    return this.call('/etcdserverpb.KV/Put', [encode(PutRequestSchema, fields)]);
  }

  /** Puts a key in a transaction within transactions, by what is done where comparisons hold, and where they do not. */
  putDeep(fields: MessageInitShape<typeof PutRequestSchema>, depth: number): Promise<GrpcOutcome> {
    type Txn = MessageInitShape<typeof TxnRequestSchema>;
    let txn: Txn = { success: [{ request: { case: 'requestPut', value: fields } }] };
    for (let i = 0; i < depth; i++) {
      const value: Txn = txn;
      const operations: NonNullable<Txn['success']> = [{ request: { case: 'requestTxn' as const, value } }];
      // A key that is not there has version 0, which is not greater.
      const compare = [
        { key: b('nowhere'), result: 1, targetUnion: { case: 'version' as const, value: 0n } },
      ];
      txn = i % 2 === 0 ? { success: operations } : { compare, failure: operations };
    }
    return this.call('/etcdserverpb.KV/Txn', [encode(TxnRequestSchema, txn)]);
  }
}

describe('an isolated namespace', () => {
  let etcd: EtcdCluster;
  let proxy: NamespacedProxy;
  let direct: Leases;
  let inA: Leases;
  let inB: Leases;
  let whole: Leases;
  let foreign: readonly bigint[];

  before(async () => {
    etcd = await startEtcd();
    proxy = await startNamespaces([A, B], { endpoints: etcd.endpoints, flags: [STRICT] });
    direct = new Leases(etcd.first.address);
    inA = new Leases(proxy.at(A));
    inB = new Leases(proxy.at(B));
    whole = new Leases(proxy.at(''));
    const chosen = replyOf(LeaseGrantResponseSchema, await direct.grant({ ID: 7n })).ID;
    const negative = replyOf(LeaseGrantResponseSchema, await direct.grant({ ID: -5n })).ID;
    foreign = [await direct.granted(), await inB.granted(), chosen, negative];
  });

  after(async () => {
    for (const client of [direct, inA, inB, whole]) client.close();
    await proxy[Symbol.asyncDispose]();
    await etcd.stop();
  });

  test('refuses every method that concerns the whole cluster, and serves the others', async () => {
    const refused = [
      '/etcdserverpb.KV/Compact',
      ...Object.values(Cluster).map(({ path }) => path),
      ...Object.values(Maintenance)
        .map(({ path }) => path)
        .filter((path) => !/Status|Alarm$/.test(path)),
      ...Object.values(Auth)
        .map(({ path }) => path)
        .filter((path) => !path.endsWith('/Authenticate')),
    ].toSorted();
    const seen: string[] = [];
    for (const { path, kind } of METHODS.values()) {
      if (kind === 'bidi_stream' || /Observe|Watch$|Campaign|Lock$/.test(path)) continue;
      const { code, message } = await inA.call(path, [new Uint8Array()]);
      if (code !== 7) continue;
      const name = path.split('/').at(-1);
      assert.equal(
        message,
        `etcd-connect-proxy: ${name} concerns the whole cluster, and this namespace is isolated from it`,
      );
      seen.push(path);
    }
    assert.deepEqual(seen.toSorted(), refused);
    for (const id of await inA.listed()) await inA.revoke(id);
    // Without a namespace everything is as it was.
    const list = await whole.call('/etcdserverpb.Cluster/MemberList', [new Uint8Array()]);
    assert.equal(list.code, 0);
  });

  test('lets alarms be looked at, and not changed', async () => {
    const alarm = (action: number) =>
      inA.call('/etcdserverpb.Maintenance/Alarm', [encode(AlarmRequestSchema, { action, alarm: 1 })]);
    assert.deepEqual(
      [await alarm(0), await alarm(1), await alarm(2)].map(({ code }) => code),
      [0, 7, 7],
    );
    // Of two actions the last one counts, and one that Go cuts down to 32 bits is none to look at.
    for (const bytes of [
      [8, 0, 8, 1],
      [8, 0x81, 0x80, 0x80, 0x80, 0x10],
    ])
      assert.equal((await inA.call('/etcdserverpb.Maintenance/Alarm', [Uint8Array.from(bytes)])).code, 7);
    assert.deepEqual((await etcd.etcdctl(['alarm', 'list'])).stdout, '');
  });

  test('serves no unknown methods, and no known ones as if they were streams', async () => {
    assert.equal((await inA.call('/etcdserverpb.KV/Unheard', [new Uint8Array()])).code, 12);
    assert.equal((await inA.call('/a.B/C', [new Uint8Array()])).code, 12);
  });

  test('lists the leases of this namespace, and no others', async () => {
    const [first, second] = [await inA.granted(), await inA.granted()];
    assert.deepEqual((await inA.listed()).toSorted(), [first, second].toSorted());
    for (const id of foreign) assert.ok((await direct.listed()).includes(id));
    assert.ok(first > 0n && second > 0n && first >> 23n === second >> 23n);
    await inA.revoke(first);
    assert.deepEqual(await inA.listed(), [second]);
    await inA.revoke(second);
  });

  test('chooses ids of leases: others are refused, but for one that it would have chosen', async () => {
    const mine = await inA.granted();
    for (const ID of [...foreign, 1n, -1n, (mine >> 23n) << 23n, mine + (1n << 23n)]) {
      const { code, message } = await inA.grant({ ID });
      assert.equal(code, 7, `${ID}`);
      assert.equal(
        message,
        'etcd-connect-proxy: a lease of this namespace is granted with ID 0, for which the proxy chooses an id, or with an id of the namespace',
      );
    }
    assert.equal((await inA.grant({ ID: mine })).message, 'etcdserver: lease already exists');
    await inA.revoke(mine);
    assert.equal(replyOf(LeaseGrantResponseSchema, await inA.grant({ ID: mine })).ID, mine);
    await inA.revoke(mine);
  });

  test('answers about leases of elsewhere as etcd does about one that is not there', async () => {
    const missing = 123_456n;
    const told = await direct.timeToLive(missing);
    const beat = (await direct.beat([missing]))[0];
    for (const id of foreign) {
      const { header: _, ...mine } = await inA.timeToLive(id);
      const { header: __, ...theirs } = told;
      assert.deepEqual(mine, { ...theirs, ID: id });
      assert.deepEqual(endOf(await inA.revoke(id)), NOT_FOUND);
    }
    const own = await inA.granted();
    // The id that stands for those of elsewhere may be named as well.
    const absent = (own >> 23n) << 23n;
    const asked = [foreign[0], own, absent, foreign[1], foreign[2], own, absent, foreign[3]] as bigint[];
    const beats = await inA.beat(asked);
    assert.deepEqual(
      beats.map(({ ID, TTL }) => [ID, TTL]),
      asked.map((id) => [id, id === own ? 100n : beat?.TTL]),
    );
    const browser = await inA.call('/etcdconnect.v1.Browser/LeaseKeepAliveOnce', [
      encode(LeaseKeepAliveRequestSchema, { ID: foreign[0] as bigint }),
    ]);
    const once = replyOf(LeaseKeepAliveResponseSchema, browser);
    assert.deepEqual([once.ID, once.TTL], [foreign[0], 0n]);
    for (const id of foreign) assert.ok((await direct.timeToLive(id)).TTL > 0n, 'it lives on');
    await inA.revoke(own);
  });

  test('puts no key on a lease of elsewhere, at any depth of a transaction', async () => {
    const own = await inA.granted();
    for (const lease of foreign) {
      assert.deepEqual(endOf(await inA.put({ key: b('k'), lease })), NOT_FOUND);
      for (const depth of [0, 1, 2, 3, 20])
        assert.deepEqual(
          endOf(await inA.putDeep({ key: b('k'), value: b('v'.repeat(200)), lease }, depth)),
          NOT_FOUND,
        );
      assert.deepEqual((await direct.timeToLive(lease)).keys, []);
    }
    // etcd's other refusals come first, as they do there.
    const odd = await inA.put({ key: b('k'), lease: foreign[0] as bigint, ignoreLease: true });
    assert.equal(odd.message, 'etcdserver: lease is provided');
    assert.equal((await inA.put({ key: b('k'), lease: own })).code, 0);
    assert.equal((await inA.putDeep({ key: b('l'), lease: own }, 0)).code, 0);
    assert.equal((await direct.timeToLive(own)).keys.length, 2);
    await inA.revoke(own);
  });

  test('locks and campaigns with leases of its own only, granted where none is named', async () => {
    const lock = (lease: bigint) =>
      inA.call('/v3lockpb.Lock/Lock', [encode(LockRequestSchema, { name: b('l'), lease })]);
    const campaign = (lease: bigint) =>
      inA.call('/v3electionpb.Election/Campaign', [
        encode(CampaignRequestSchema, { name: b('e'), lease, value: b('v') }),
      ]);
    const missing = await direct.call('/v3lockpb.Lock/Lock', [
      encode(LockRequestSchema, { name: b('x'), lease: 123_456n }),
    ]);
    for (const lease of foreign) {
      assert.deepEqual(endOf(await lock(lease)), endOf(missing));
      assert.deepEqual(endOf(await campaign(lease)), endOf(missing));
    }
    const { key } = replyOf(LockResponseSchema, await lock(0n));
    const lease = BigInt(`0x${Buffer.from(key).toString('latin1').split('/').at(-1)}`);
    assert.deepEqual(await inA.listed(), [lease]);
    assert.equal((await inA.timeToLive(lease)).grantedTTL, 60n);
    await inA.revoke(lease);

    const { leader } = replyOf(CampaignResponseSchema, await campaign(0n));
    assert.ok(leader);
    assert.deepEqual(await inA.listed(), [leader.lease]);
    const proclaim = (as: bigint) =>
      inA.call('/v3electionpb.Election/Proclaim', [
        encode(ProclaimRequestSchema, { leader: { ...leader, lease: as }, value: b('w') }),
      ]);
    for (const id of foreign) {
      assert.equal((await proclaim(id)).message.includes('lease not found'), true);
      assert.deepEqual((await direct.timeToLive(id)).keys, []);
    }
    assert.equal((await proclaim(leader.lease)).code, 0);
    const resign = encode(ResignRequestSchema, { leader });
    assert.equal((await inA.call('/v3electionpb.Election/Resign', [resign])).code, 0);
    await inA.revoke(leader.lease);
  });

  test('reads requests as etcd does, or not at all', async () => {
    const foreignLease = foreign[2] as bigint; // 7, one octet
    const key = [0x0a, 1, 0x6b];
    const lease = [0x18, Number(foreignLease)];
    const requests: Record<string, number[]> = {
      'two leases': [...key, 0x18, 0, ...lease],
      'a tag of two octets': [...key, 0x98, 0x00, Number(foreignLease)],
      'a tag that Go cuts down': [...key, 0x98, 0x80, 0x80, 0x80, 0x80, 0x01, Number(foreignLease)],
      'a tag beyond 64 bits': [...key, 0x98, ...new Array<number>(8).fill(0x80), 0x02, Number(foreignLease)],
      'a group before it': [...key, 0x7b, 0x7c, ...lease],
      'a number of ten octets': [...key, 0x18, 0x87, ...new Array<number>(8).fill(0x80), 0x02],
      'what is cut off': [...key, ...lease, 0x22, 5],
    };
    for (const [name, bytes] of Object.entries(requests)) {
      const { code } = await inA.call('/etcdserverpb.KV/Put', [Uint8Array.from(bytes)]);
      assert.notEqual(code, 0, name);
    }
    assert.deepEqual((await direct.timeToLive(foreignLease)).keys, []);
  });

  test('looks at requests about one lease, or about alarms, up to a bound of fields', async () => {
    const message =
      'etcd-connect-proxy: the request has more than 4096 fields, which a namespace that is isolated does not take';
    const many = Buffer.alloc(20_000, Buffer.of(0x08, 0));
    for (const path of [
      '/etcdserverpb.Maintenance/Alarm',
      ...['LeaseGrant', 'LeaseRevoke', 'LeaseTimeToLive', 'LeaseKeepAlive'].map(
        (n) => `/etcdserverpb.Lease/${n}`,
      ),
      '/v3lockpb.Lock/Lock',
      '/v3electionpb.Election/Campaign',
    ])
      assert.deepEqual(endOf(await inA.call(path, [many])), { code: 8, message }, path);
    // Puts, of which a transaction may have any number, are looked at in turns; etcd has its own bound for them.
    const puts = Buffer.alloc(60_000, Buffer.of(0x12, 4, 0x12, 2, 0x18, 1));
    assert.match(
      (await inA.call('/etcdserverpb.KV/Txn', [puts])).message,
      /^etcdserver: (too many op|key is not)/,
    );
  });

  test('counts what it keeps away', async () => {
    const page = await proxyMetrics(proxy.proxy.url);
    for (const reason of ['method', 'lease_id', 'lease', 'fields']) {
      const series = `etcd_proxy_namespace_refused_total{namespace="a/",reason="${reason}"}`;
      const line = page.split('\n').find((each) => each.startsWith(`${series} `));
      assert.ok(Number(line?.split(' ')[1]) > 0, series);
    }
    assert.match(page, /etcd_proxy_namespace_refused_total\{namespace="b\/",reason="lease"\} 0/);
  });

  test('shows in its pages no name of another one', async () => {
    for (const page of ['/proxy/metrics', '/metrics']) {
      const inside = await (await fetch(`http://${proxy.at(A)}${page}`)).text();
      assert.match(inside, /etcd_proxy_namespace_started_total\{namespace="a\/"\}/);
      assert.match(inside, /etcd_proxy_watch_feeds 0/);
      assert.doesNotMatch(inside, /b\//);
      assert.match(await (await fetch(`http://${proxy.at('')}${page}`)).text(), /namespace="b\/"/);
    }
  });

  test('knows its leases after a restart, and through another proxy', async () => {
    const own = await inA.granted();
    for (let i = 0; i < 2; i++) {
      await using other = await startNamespaces([A, B], { endpoints: etcd.endpoints, flags: [STRICT] });
      using againA = new Leases(other.at(A));
      using againB = new Leases(other.at(B));
      assert.deepEqual(await againA.listed(), [own]);
      assert.equal((await againA.timeToLive(own)).grantedTTL, 100n);
      assert.equal((await againA.put({ key: b(`of-${i}`), lease: own })).code, 0);
      assert.equal((await againB.timeToLive(own)).TTL, -1n);
      assert.deepEqual(endOf(await againB.revoke(own)), NOT_FOUND);
    }
    assert.equal((await inA.revoke(own)).code, 0);
    assert.deepEqual(await inA.listed(), []);
  });
});

test('the namespace of --namespace is isolated as well', async () => {
  await using etcd = await startEtcd();
  const flags = [STRICT, `--namespace=${A}`];
  await using proxy = await startNamespaces([], { endpoints: etcd.endpoints, flags });
  using inA = new Leases(proxy.at(''));
  using direct = new Leases(etcd.first.address);
  const theirs = await direct.granted();
  assert.equal((await inA.call('/etcdserverpb.Maintenance/Snapshot', [new Uint8Array()])).code, 7);
  assert.deepEqual(await inA.listed(), []);
  assert.deepEqual(endOf(await inA.put({ key: b('k'), lease: theirs })), NOT_FOUND);
  assert.match(
    await proxyMetrics(proxy.proxy.url),
    /namespace_refused_total\{namespace="a\/",reason="method"\} 1/,
  );
});

test('a namespace that is not isolated is as etcd there', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startNamespaces([A], { endpoints: etcd.endpoints });
  using inA = new Leases(proxy.at(A));
  using direct = new Leases(etcd.first.address);
  const theirs = await direct.granted();
  assert.deepEqual(await inA.listed(), [theirs]);
  assert.equal(replyOf(LeaseGrantResponseSchema, await inA.grant({ ID: 7n })).ID, 7n);
  assert.equal((await inA.put({ key: b('k'), lease: theirs })).code, 0);
  assert.equal((await inA.revoke(theirs)).code, 0);
  assert.equal((await inA.call('/etcdserverpb.Cluster/MemberList', [new Uint8Array()])).code, 0);
});

test('who may have no lease is told so by a lock or campaign without one as by etcd', async () => {
  await using etcd = await startEtcd({ bcryptCost: 4 });
  for (const args of [
    ['user', 'add', 'root:pw'],
    ['user', 'grant-role', 'root', 'root'],
    ['auth', 'enable'],
  ])
    assert.equal((await etcd.etcdctl(args)).code, 0);
  await using proxy = await startNamespaces([A], { endpoints: etcd.endpoints, flags: [STRICT] });
  using direct = new RawGrpcClient(etcd.first.address);
  using inA = new RawGrpcClient(proxy.at(A));
  for (const who of [{}, { metadata: { token: 'of.nobody' } }])
    for (const [path, request] of [
      ['/v3lockpb.Lock/Lock', encode(LockRequestSchema, { name: b('l') })],
      ['/v3electionpb.Election/Campaign', encode(CampaignRequestSchema, { name: b('e'), value: b('v') })],
    ] as const) {
      const told = endOf(await direct.call(path, [request], who));
      assert.equal(told.code, 2);
      assert.deepEqual(endOf(await inA.call(path, [request], who)), told);
    }
});
