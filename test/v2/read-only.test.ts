/** `--proxy=readonly` at the services: each method of etcd is looked through or refused, and a transaction by what is in it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type RequestOpSchema, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { AlarmRequest_AlarmAction, AlarmRequestSchema } from '#gen/etcdserverpb/maintenance_pb.js';
import { KV, Maintenance } from '../../src/etcd/methods.ts';
import { OWN_METADATA } from '../../src/etcd/own-metadata.ts';
import { MAX_DEPTH } from '../../src/etcd/strict-fields.ts';
import type { Call, ServerStream, Services } from '../../src/rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError, type Status } from '../../src/rpc/status.ts';
import { ReadOnlyServices } from '../../src/services/read-only.ts';
import { parseApiTable } from '../support/descriptors.ts';
import { METHODS, methodAt } from '../support/methods.ts';
import { ACCESS } from './access.ts';

const DONE = Uint8Array.of(1, 2, 3);

/** Services that do what they are asked for. */
const willing: Services = {
  method: methodAt,
  unary: (path) => (METHODS.get(path)?.kind === 'unary' ? () => DONE : undefined),
  stream: () => (client) => client.end({ code: Code.OK, message: 'done' }),
};

const callOf = (path: string): Call => new OwnCall(methodAt(path), OWN_METADATA, Number.POSITIVE_INFINITY);

/** How a call ends. */
async function outcome(services: Services, path: string, request: Uint8Array): Promise<Status> {
  const unary = services.unary(path);
  if (unary === undefined) return streamed(services, path);
  try {
    return { code: Code.OK, message: (await unary(request, callOf(path))) === DONE ? 'done' : 'changed' };
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    return error;
  }
}

function streamed(services: Services, path: string): Promise<Status> {
  return new Promise((end) => {
    const ignore = (): void => {};
    const client: ServerStream = {
      listener: NO_STREAM_LISTENER,
      sendHeaders: ignore,
      send: () => true,
      sendJoined: () => true,
      end,
      hold: ignore,
      pause: ignore,
      resume: ignore,
    };
    services.stream(path)(client, callOf(path));
  });
}

test('each method of etcd is known to look or to write', async () => {
  const table = parseApiTable(readFileSync('test/data/etcd-api.tsv', 'utf8'));
  const known = [
    ...new Set([
      ...table.filter(({ kind }) => kind === 'rpc').map((row) => `/${row.in}/${row.name}`),
      ...METHODS.keys(),
    ]),
  ].sort();
  assert.deepEqual(Object.keys(ACCESS).sort(), known, 'a method without a row in test/v2/access.ts');
  const services = new ReadOnlyServices(willing);
  const got: Record<string, string> = {};
  for (const path of known) {
    const { code, message } = await outcome(services, path, new Uint8Array(0));
    got[path] = code === Code.OK && message === 'done' ? 'reads' : `${code} ${message}`;
    // As a stream, a unary method is no way in either.
    if (METHODS.get(path)?.kind === 'unary')
      assert.equal((await streamed(services, path)).code, Code.UNIMPLEMENTED, path);
  }
  const wanted = Object.fromEntries(
    Object.entries(ACCESS).map(([path, access]) => [
      path,
      access === 'writes' ? `12 ${refused(path.split('/')[2] as string)}` : 'reads',
    ]),
  );
  assert.deepEqual(got, wanted);
});

const refused = (what: string): string =>
  `etcd-connect-proxy: this proxy is read-only (--proxy=readonly), and ${what} may write`;

test('a method that nobody knows counts as a write', async () => {
  const services = new ReadOnlyServices(willing);
  for (const path of ['/etcdserverpb.KV/Rangee', '/a/b', 'x', ''])
    assert.deepEqual({ ...(await streamed(services, path)) }.code, Code.UNIMPLEMENTED, path);
  assert.equal(
    (await streamed(services, '/etcdserverpb.KV/New')).message,
    refused('a method that it does not know'),
  );
});

type Op = MessageInitShape<typeof RequestOpSchema>;
const range: Op = { request: { case: 'requestRange', value: { key: Buffer.from('k') } } };
const put: Op = { request: { case: 'requestPut', value: { key: Buffer.from('k') } } };
const del: Op = { request: { case: 'requestDeleteRange', value: { key: Buffer.from('k') } } };
const nested = (...success: Op[]): Op => ({ request: { case: 'requestTxn', value: { success } } });
const nestedElse = (...failure: Op[]): Op => ({ request: { case: 'requestTxn', value: { failure } } });
const txn = (success: Op[], failure: Op[] = []): Uint8Array =>
  toBinary(
    TxnRequestSchema,
    create(TxnRequestSchema, { compare: [{ key: Buffer.from('k') }], success, failure }),
  );
const field = (tag: number, ...inner: Uint8Array[]): Uint8Array =>
  new BinaryWriter().uint32(tag).bytes(Buffer.concat(inner)).finish();

/** As deep as it goes: a transaction in an operation in a transaction. */
function deep(levels: number): Uint8Array {
  // Lengths come before what they measure, so the parts are made from the inside.
  let length = 0;
  const heads: Uint8Array[] = [];
  for (let level = 0; level < levels; level++) {
    const head = new BinaryWriter()
      .uint32((levels - level) % 2 === 1 ? 0x12 : 0x22)
      .uint32(length)
      .finish();
    heads.push(head);
    length += head.length;
  }
  return Buffer.concat(heads.reverse());
}

test('a transaction is what is in it', async () => {
  const services = new ReadOnlyServices(willing);
  const many = Array.from({ length: 5000 }, () => range);
  const cases: [name: string, request: Uint8Array, code: number][] = [
    ['nothing', txn([]), Code.OK],
    ['ranges', txn([range, range], [range]), Code.OK],
    ['a put', txn([range, put]), Code.UNIMPLEMENTED],
    ['a put otherwise', txn([range], [put]), Code.UNIMPLEMENTED],
    ['a delete', txn([del]), Code.UNIMPLEMENTED],
    ['a nested range', txn([nested(range), range], [nestedElse(range)]), Code.OK],
    ['a nested put', txn([nested(range, nested(range, put)), range]), Code.UNIMPLEMENTED],
    ['a nested delete otherwise', txn([range], [nested(nestedElse(del))]), Code.UNIMPLEMENTED],
    ['an operation without one', field(0x12), Code.OK],
    ['an operation of two', field(0x12, field(0x12), field(0x0a)), Code.UNIMPLEMENTED],
    ['an operation nobody knows', field(0x12, field(0x2a)), Code.UNIMPLEMENTED],
    ['a field nobody knows', field(0x22), Code.UNIMPLEMENTED],
    ['a number where an operation is meant', Uint8Array.of(0x10, 0x01), Code.UNIMPLEMENTED],
    [
      'a tag that is written long',
      Buffer.concat([Uint8Array.of(0x92, 0x00), field(0x12, field(0x12)).subarray(1)]),
      Code.UNIMPLEMENTED,
    ],
    ['a tag of more than 32 bits', Uint8Array.of(0x92, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00), Code.INTERNAL],
    ['a group', Uint8Array.of(0x13, 0x14), Code.INTERNAL],
    ['a length beyond the end', Uint8Array.of(0x12, 0x05, 0x12), Code.INTERNAL],
    ['many ranges', txn(many), Code.OK],
    ['many ranges, then a put', txn(many, [put]), Code.UNIMPLEMENTED],
    ['many ranges, then no message', Buffer.concat([txn(many), Uint8Array.of(0x12)]), Code.INTERNAL],
    ['very deep', deep(MAX_DEPTH - 1), Code.OK],
    ['too deep', deep(MAX_DEPTH), Code.RESOURCE_EXHAUSTED],
  ];
  for (const [name, request, code] of cases)
    assert.equal((await outcome(services, KV.Txn.path, request)).code, code, name);
});

test('alarms may be looked at', async () => {
  const services = new ReadOnlyServices(willing);
  for (const action of [0, 1, 2]) {
    const request = toBinary(AlarmRequestSchema, create(AlarmRequestSchema, { action }));
    const wanted = action === AlarmRequest_AlarmAction.GET ? Code.OK : Code.UNIMPLEMENTED;
    assert.equal((await outcome(services, Maintenance.Alarm.path, request)).code, wanted);
  }
  // Of a field that is there twice, the last one counts, as in etcd.
  const twice = Uint8Array.of(0x08, 0x00, 0x08, 0x01);
  assert.equal((await outcome(services, Maintenance.Alarm.path, twice)).code, Code.UNIMPLEMENTED);
});

test('others have their turn while a long transaction is looked through', async () => {
  const services = new ReadOnlyServices(willing);
  const long = services.unary(KV.Txn.path)?.(
    txn(Array.from({ length: 15_000 }, () => range)),
    callOf(KV.Txn.path),
  );
  assert.ok(long instanceof Promise);
  let turns = 0;
  const count = (): void => {
    turns++;
    timer = setImmediate(count);
  };
  let timer = setImmediate(count);
  assert.equal(await long, DONE);
  clearImmediate(timer);
  assert.ok(turns > 2, String(turns));
});
