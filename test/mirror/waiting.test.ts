/** Reads that wait for a mirror: what they wait for never comes, comes too late, or is not wanted any more. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type RangeResponse,
  RangeResponseSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import { PERMISSION_MS } from '../../src/clients/permission.ts';
import type { Asker } from '../../src/clients/probe.ts';
import type { Probes } from '../../src/clients/probes.ts';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { readRangeQuery } from '../../src/etcd/range-query.ts';
import { readTxnQuery } from '../../src/etcd/txn-request.ts';
import {
  MAX_REQUEST_BYTES,
  MirroredReads,
  type MirroredReadsOptions,
} from '../../src/mirror/mirrored-reads.ts';
import type { Mirrors } from '../../src/mirror/mirrors.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { bytes, type KvClient, lightClientOf } from '../reads/clients.ts';
import { outcome, readCall } from '../reads/held-upstream.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';
import { CutRelay } from '../watch/cut-relay.ts';
import { mirror } from './in-process.ts';
import { PREFIX, PREFIX_END, rangeRequest } from './support.ts';

type Parse = MirroredReadsOptions['parse'];

const FORWARDED = Buffer.from('forwarded');

describe('reads that wait for a mirror', () => {
  const held = new AsyncDisposableStack();
  let etcd: EtcdCluster;
  let wire: CutRelay;
  let mirrors: Mirrors;
  let direct: KvClient;

  before(async () => {
    etcd = held.use(await startEtcd());
    wire = held.use(await CutRelay.start(etcd.first.address));
    direct = lightClientOf(etcd.first.address, held);
    await direct.put({ key: bytes(`${PREFIX}k`), value: bytes('v') });
    ({ mirrors } = await mirror(held, wire.address, PREFIX));
  });
  after(() => held.disposeAsync());

  /** Reads whose probes are kept, and answered when the test says so. */
  function start(waitMs: number, seen = new SeenRevision(), parse: Parse = readRangeQuery) {
    const askers: Asker[] = [];
    const probe = { allowed: true, revision: (asker: Asker) => void askers.push(asker) };
    const permission = (asker: Asker) => {
      assert.ok(!probe.allowed);
      askers.push(asker);
    };
    const probes: Probes = { of: () => ({ ...probe, permission }) };
    let forwarded = 0;
    const below = {
      unary: () => {
        forwarded++;
        return FORWARDED;
      },
    };
    const fallBacks = { max: 1, waitMs };
    const options = { parse, mirrors, probes, seen, fallBacks };
    const reads = new MirroredReads(below, options);
    return { askers, forwarded: () => forwarded, probe, reads };
  }
  const request = (serializable = false) => rangeRequest({ key: bytes(`${PREFIX}k`), serializable });
  const headerAt = (revision: number) => {
    const cluster = mirrors.all[0]?.cluster ?? '';
    return {
      kind: 'ok' as const,
      header: { bytes: new Uint8Array(), revision, cluster, member: '' },
      maybeCompacted: false,
      at: 0,
    };
  };
  const applied = () => mirrors.all[0]?.store?.applied ?? 0;
  /** Changes the key, and waits until the mirror has the change. @returns its revision */
  async function write(value: string): Promise<number> {
    const { header } = await direct.put({ key: bytes(`${PREFIX}k`), value: bytes(value) });
    const revision = Number(header?.revision);
    await until('the mirror has it', () => applied() >= revision);
    return revision;
  }

  // Without a token as well: auth may have been switched on before the change.
  for (const token of [[], ['token', 'a']]) {
    const who = token.length === 0 ? 'a client without a token' : 'a client with a token';

    test(`${who} gets nothing that was written after etcd let it read`, async () => {
      const { askers, reads } = start(60_000);
      const atQuestion = await write('v');
      const read = (key: string, rangeEnd = '') => {
        const fields = { key: bytes(PREFIX + key), rangeEnd: bytes(rangeEnd) };
        return reads.unary(rangeRequest(fields), readCall(token));
      };
      const replies = [read('k'), read('k', `${PREFIX}z`), read('', PREFIX_END)];
      await write('written when etcd had said yes');
      for (const asker of askers) asker.onProbed(headerAt(atQuestion));
      for (const reply of replies) {
        const { header, kvs } = fromBinary(RangeResponseSchema, await reply);
        assert.deepEqual(
          kvs.map(({ value }) => Buffer.from(value).toString()),
          ['v'],
        );
        assert.equal(header?.revision, BigInt(atQuestion));
      }
    });

    test(`${who} that waits for what clients know: nor what was written after that`, async () => {
      const known = applied() + 1;
      const seen = new SeenRevision();
      seen.raise(known);
      const { reads } = start(60_000, seen);
      const reply = reads.unary(request(true), readCall(token));
      // The mirror hears of both at once.
      wire.target = '127.0.0.1:1';
      wire.cut();
      await direct.put({ key: bytes('elsewhere'), value: bytes('x') });
      await direct.put({ key: bytes(`${PREFIX}k`), value: bytes('later than what clients knew') });
      wire.target = etcd.first.address;
      const { header, kvs } = fromBinary(RangeResponseSchema, await reply);
      assert.ok(kvs.every(({ modRevision }) => modRevision <= known));
      assert.equal(header?.revision, BigInt(known));
      await until('the mirror is in sync again', () => mirrors.all[0]?.inSync);
    });
  }

  test('nor does a transaction, neither in what it compares nor in what it reads', async () => {
    const { askers, reads } = start(60_000, new SeenRevision(), readTxnQuery);
    const key = bytes(`${PREFIX}k`);
    const atQuestion = await write('v');
    const requestRange = { request: { case: 'requestRange', value: { key } } } as const;
    const compare = { target: 3, key, targetUnion: { case: 'value', value: bytes('v') } } as const;
    const txn = create(TxnRequestSchema, { compare: [compare], success: [requestRange] });
    const reply = reads.unary(toBinary(TxnRequestSchema, txn), readCall());
    await write('written when etcd had said yes');
    askers[0]?.onProbed(headerAt(atQuestion));
    const { header, succeeded, responses } = fromBinary(TxnResponseSchema, await reply);
    assert.ok(succeeded);
    assert.equal(header?.revision, BigInt(atQuestion));
    const range = responses[0]?.response.value as RangeResponse;
    assert.equal(Buffer.from(range.kvs[0]?.value ?? []).toString(), 'v');
    assert.equal(range.header?.revision, BigInt(atQuestion));
  });

  test('no answer to the question: forwarded after a while, and a late answer changes nothing', async () => {
    const { askers, forwarded, reads } = start(20);
    const before = mirrors.stats.fallBacks.get('timeout') ?? 0;
    assert.equal(await reads.unary(request(), readCall()), FORWARDED);
    assert.equal(mirrors.stats.fallBacks.get('timeout'), before + 1);
    askers[0]?.onProbed(headerAt(applied()));
    assert.equal(forwarded(), 1);
  });

  test('etcd permits a serializable read, but says so when that counts no more: forwarded', async () => {
    const { askers, probe, reads } = start(60_000);
    probe.allowed = false;
    const inTime = reads.unary(request(true), readCall());
    askers[0]?.onProbed(headerAt(applied()));
    assert.notEqual(await inTime, FORWARDED);
    const late = reads.unary(request(true), readCall());
    await sleep(PERMISSION_MS + 10);
    await write('written when the permission was lost');
    askers[1]?.onProbed(headerAt(applied()));
    assert.equal(await late, FORWARDED);
  });

  test('users or roles change while etcd is asked about a serializable read: forwarded', async () => {
    const { askers, probe, reads } = start(60_000);
    probe.allowed = false;
    const before = reads.unary(request(true), readCall());
    mirrors.permissions.withdraw(performance.now());
    await write('written after the change');
    const later = reads.unary(request(true), readCall());
    for (const asker of askers) asker.onProbed(headerAt(applied()));
    assert.equal(await before, FORWARDED, 'etcd may have said yes before the change');
    assert.notEqual(await later, FORWARDED);
  });

  test('a revision that does not come: forwarded', async () => {
    const { askers, reads } = start(20);
    const reply = reads.unary(request(), readCall());
    askers[0]?.onProbed(headerAt(applied() + 1000));
    assert.equal(await reply, FORWARDED);
  });

  test('clients have been told of a revision that the mirror does not reach: serializable reads are forwarded', async () => {
    const seen = new SeenRevision();
    seen.raise(applied() + 1000);
    const { reads } = start(20, seen);
    assert.equal(await reads.unary(request(true), readCall()), FORWARDED);
  });

  test('the mirror knows enough: a serializable read is answered within the call', () => {
    const { reads, forwarded } = start(20);
    assert.ok(reads.unary(request(true), readCall()) instanceof Uint8Array);
    assert.equal(forwarded(), 0);
  });

  test('the client is gone: nothing is forwarded', async () => {
    const { askers, forwarded, reads } = start(60_000);
    const call = readCall();
    const result = outcome(reads.unary(request(), call) as Promise<Uint8Array>);
    call.cancel();
    await until('it is told', () => result.error !== undefined);
    assert.equal(RpcError.from(result.error).code, Code.CANCELLED);
    askers[0]?.onProbed(headerAt(applied()));
    assert.equal(forwarded(), 0);
    assert.equal(result.reply, undefined);
  });

  test('a long request: forwarded at once, since the question keeps what it is about, though the client be gone', async () => {
    const { askers, reads } = start(60_000);
    const before = mirrors.stats.fallBacks.get('large') ?? 0;
    const long = (length: number) => rangeRequest({ key: bytes(PREFIX.padEnd(length, 'k')) });
    assert.equal(reads.unary(long(MAX_REQUEST_BYTES), readCall()), FORWARDED);
    assert.deepEqual([askers.length, mirrors.stats.fallBacks.get('large')], [0, before + 1]);
    const shorter = reads.unary(long(MAX_REQUEST_BYTES - 10), readCall());
    askers[0]?.onProbed(headerAt(applied()));
    assert.notEqual(await shorter, FORWARDED);
  });

  test('the question fails or is refused: forwarded at once', async () => {
    const { askers, reads } = start(60_000);
    const refused = reads.unary(request(), readCall());
    askers[0]?.onProbed({ kind: 'refused', reason: '' });
    assert.equal(await refused, FORWARDED);
    const failed = reads.unary(request(), readCall());
    askers[1]?.onProbed({ kind: 'failed', error: new RpcError(Code.UNAVAILABLE, 'no') });
    assert.equal(await failed, FORWARDED);
  });

  test('another cluster answers the question: forwarded', async () => {
    const { askers, reads } = start(60_000);
    const reply = reads.unary(request(), readCall());
    const { header, ...rest } = headerAt(applied());
    askers[0]?.onProbed({ ...rest, header: { ...header, cluster: 'another' } });
    assert.equal(await reply, FORWARDED);
  });
});
