/**
 * Messages rewritten as bytes are what they are when each of their keys is changed by its name in the descriptor; and
 * whatever bytes a request is made of, no etcd finds a key in it that is not within the namespace.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type KeyFields, REPLY_FIELDS, REQUEST_FIELDS } from '../../src/etcd/key-fields.ts';
import { Election, KV, Lock, Watch } from '../../src/etcd/methods.ts';
import { MalformedMessage } from '../../src/etcd/scanner.ts';
import { IsolationStats } from '../../src/namespace/isolation-stats.ts';
import { KeyRewriting } from '../../src/namespace/key-rewriting.ts';
import { LeaseIds } from '../../src/namespace/lease-ids.ts';
import { LeasesWithin } from '../../src/namespace/leases-within.ts';
import { Prefix } from '../../src/namespace/prefix.ts';
import type { Method } from '../../src/rpc/method.ts';
import { RpcError } from '../../src/rpc/status.ts';
import { METHOD_SCHEMAS, pathOf } from '../../src/web/schemas.ts';
import { randomFrom } from '../reads/fire.ts';
import { LONG } from '../support/releases.ts';
import { readAsEtcd } from './gogo.ts';

const CASES = Number(process.env.NAMESPACE_CASES ?? (LONG ? 5000 : 300));
const SEED = Number(process.env.NAMESPACE_SEED ?? Math.floor(Math.random() * 2 ** 30));

const PREFIXES: readonly Uint8Array[] = [
  Buffer.from('tenant/'),
  Buffer.of(0),
  Buffer.of(0xff, 0xff),
  Buffer.from('a\xff', 'latin1'),
  Buffer.alloc(200, 'p'),
];

/** What the keys of requests become, by the names of messages and fields. */
const REQUEST_KEYS: Readonly<Record<string, 'key' | 'name' | 'watch' | 'end'>> = {
  'etcdserverpb.RangeRequest.key': 'key',
  'etcdserverpb.RangeRequest.range_end': 'end',
  'etcdserverpb.PutRequest.key': 'key',
  'etcdserverpb.DeleteRangeRequest.key': 'key',
  'etcdserverpb.DeleteRangeRequest.range_end': 'end',
  'etcdserverpb.Compare.key': 'key',
  'etcdserverpb.Compare.range_end': 'end',
  'etcdserverpb.WatchCreateRequest.key': 'watch',
  'etcdserverpb.WatchCreateRequest.range_end': 'end',
  'etcdserverpb.AuthRoleRevokePermissionRequest.key': 'key',
  'etcdserverpb.AuthRoleRevokePermissionRequest.range_end': 'end',
  'authpb.Permission.key': 'key',
  'authpb.Permission.range_end': 'end',
  'v3lockpb.LockRequest.name': 'name',
  'v3lockpb.UnlockRequest.key': 'key',
  'v3electionpb.CampaignRequest.name': 'name',
  'v3electionpb.LeaderRequest.name': 'name',
  'v3electionpb.LeaderKey.name': 'key',
  'v3electionpb.LeaderKey.key': 'key',
};

/** Where keys stand in replies. */
const REPLY_KEYS: readonly string[] = [
  'mvccpb.KeyValue.key',
  'v3electionpb.LeaderKey.name',
  'v3electionpb.LeaderKey.key',
  'v3lockpb.LockResponse.key',
  'etcdserverpb.LeaseTimeToLiveResponse.keys',
];

const join = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
const nameOf = (field: DescField): string => `${field.parent.typeName}.${field.name}`;

/** The key behind all that begin with some bytes, worked out as a number. */
function behind(prefix: Uint8Array): Uint8Array {
  const next = BigInt(`0x${Buffer.from(prefix).toString('hex')}`) + 1n;
  const hex = next.toString(16).padStart(2 * prefix.length, '0');
  if (hex.length > 2 * prefix.length) return Buffer.of(0);
  return Buffer.from(hex.replace(/(00)+$/, ''), 'hex');
}

function requestKey(prefix: Uint8Array, use: string | undefined, key: Uint8Array): Uint8Array {
  if (use === 'end' && key.length === 1 && key[0] === 0) return behind(prefix);
  if (use === 'watch' && key.length === 0) return join(prefix, Buffer.of(0));
  return use === 'name' || key.length > 0 ? join(prefix, key) : key;
}

/** Calls back for each message within, itself too. */
function visit(message: ReflectMessage, see: (message: ReflectMessage) => void): void {
  see(message);
  for (const field of message.fields) {
    if (field.fieldKind === 'message' && message.isSet(field)) visit(message.get(field), see);
    if (field.fieldKind === 'list' && field.listKind === 'message')
      for (const item of message.get(field)) visit(item as ReflectMessage, see);
  }
}

/** The reference for requests. */
function expectedRequest(schema: DescMessage, bytes: Uint8Array, prefix: Uint8Array): Uint8Array {
  const message = reflect(schema, fromBinary(schema, bytes));
  visit(message, (inner) => {
    for (const field of inner.fields) {
      const use = REQUEST_KEYS[nameOf(field)];
      if (use !== undefined && field.fieldKind === 'scalar')
        inner.set(field, requestKey(prefix, use, inner.get(field) as Uint8Array));
    }
  });
  return toBinary(schema, message.message);
}

/** The reference for replies. */
function expectedReply(schema: DescMessage, bytes: Uint8Array, prefix: Uint8Array): Uint8Array {
  const message = reflect(schema, fromBinary(schema, bytes));
  const strip = (key: Uint8Array): Uint8Array => key.subarray(prefix.length);
  visit(message, (inner) => {
    for (const field of inner.fields) {
      if (!REPLY_KEYS.includes(nameOf(field))) continue;
      if (field.fieldKind === 'scalar') inner.set(field, strip(inner.get(field) as Uint8Array));
      if (field.fieldKind !== 'list') continue;
      const list = inner.get(field);
      const keys = [...list] as Uint8Array[];
      list.clear();
      for (const key of keys)
        if (key.length > prefix.length && Buffer.compare(key.subarray(0, prefix.length), prefix) === 0)
          list.add(strip(key));
    }
  });
  return toBinary(schema, message.message);
}

/** Makes messages of chance. */
class Maker {
  readonly #random: () => number;
  /** What a key in a reply begins with. */
  readonly #prefix: Uint8Array | undefined;

  constructor(random: () => number, prefix?: Uint8Array) {
    this.#random = random;
    this.#prefix = prefix;
  }

  message(schema: DescMessage, depth = 0): ReflectMessage {
    const message = reflect(schema);
    const oneofs = new Set<object>();
    for (const field of message.fields) {
      if (field.oneof !== undefined && oneofs.has(field.oneof)) continue;
      const mustBe = this.#prefix !== undefined && REPLY_KEYS.includes(nameOf(field));
      if (!mustBe && (depth > 6 || this.#random() < 0.3)) continue;
      if (field.oneof !== undefined) oneofs.add(field.oneof);
      this.#fill(message, field, depth);
    }
    if (this.#random() < 0.2) {
      const data = new BinaryWriter().bytes(this.#bytes(30)).finish();
      message.setUnknown([{ no: 900, wireType: WireType.LengthDelimited, data }]);
    }
    return message;
  }

  #fill(message: ReflectMessage, field: DescField, depth: number): void {
    if (field.fieldKind === 'message') message.set(field, this.message(field.message, depth + 1));
    else if (field.fieldKind === 'enum') message.set(field, Math.floor(this.#random() * 3));
    else if (field.fieldKind === 'scalar') message.set(field, this.#scalar(field.scalar, field));
    else if (field.fieldKind === 'list') {
      const list = message.get(field);
      for (let left = Math.floor(this.#random() * 4); left > 0; left--) {
        if (field.listKind === 'message') list.add(this.message(field.message, depth + 1));
        else if (field.listKind === 'scalar') list.add(this.#scalar(field.scalar, field));
        else list.add(1);
      }
    }
  }

  #scalar(scalar: ScalarType, field: DescField): unknown {
    if (scalar === ScalarType.BYTES) return this.#key(field);
    if (scalar === ScalarType.STRING) return 'text é'.repeat(Math.floor(this.#random() * 40));
    if (scalar === ScalarType.BOOL) return true;
    const number = Math.floor(this.#random() * 2 ** 31);
    return [ScalarType.INT64, ScalarType.UINT64].includes(scalar) ? BigInt(number) << 20n : number;
  }

  #key(field: DescField): Uint8Array {
    const key = this.#bytes(1);
    if (this.#prefix === undefined || !REPLY_KEYS.includes(nameOf(field))) return key;
    // Of those that a lease has, some are others'.
    if (field.fieldKind === 'list' && this.#random() < 0.5) return join(Buffer.of(1), key);
    return join(this.#prefix, key);
  }

  #bytes(least: number): Uint8Array {
    const length = [least, 1, 2, 120, 128, 20_000][Math.floor(this.#random() * 6)] ?? least;
    return Buffer.alloc(length, Math.floor(this.#random() ** 2 * 256));
  }
}

/** Rewrites in one go, or in steps of a few fields. */
function rewrite(
  prefix: Uint8Array,
  message: Uint8Array,
  fields: KeyFields,
  isRequest: boolean,
  step = Number.POSITIVE_INFINITY,
  leases?: LeasesWithin,
): Uint8Array {
  const rewriting = new KeyRewriting(new Prefix(prefix), leases);
  rewriting.begin(message, fields, isRequest);
  for (;;) {
    const done = rewriting.advance(step);
    if (done !== undefined) return done;
  }
}

function schemaOf(method: Method, side: 'input' | 'output'): DescMessage {
  const found = METHOD_SCHEMAS.find((schema) => pathOf(schema) === method.path);
  assert.ok(found, method.path);
  return found[side];
}

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

describe('random messages', () => {
  for (const [method, fields] of REQUEST_FIELDS)
    test(`requests of ${method.name}`, () => {
      const schema = schemaOf(method, 'input');
      for (let seed = SEED; seed < SEED + CASES / 4; seed++) {
        const random = randomFrom(seed);
        const prefix = PREFIXES[seed % PREFIXES.length] as Uint8Array;
        const bytes = toBinary(schema, new Maker(random).message(schema).message);
        const rewritten = rewrite(prefix, bytes, fields, true);
        const expected = expectedRequest(schema, bytes, prefix);
        const what = `NAMESPACE_SEED=${seed} ${schema.typeName}`;
        assert.ok(same(toBinary(schema, fromBinary(schema, rewritten)), expected), what);
        // A field that had to be added stands behind the others.
        assert.equal(rewritten.length, expected.length, what);
        const step = 1 + Math.floor(random() * 5);
        assert.ok(same(rewrite(prefix, bytes, fields, true, step), rewritten), `${what}, in steps`);
      }
    });

  for (const [method, fields] of REPLY_FIELDS)
    test(`replies of ${method.name}`, () => {
      const schema = schemaOf(method, 'output');
      for (let seed = SEED; seed < SEED + CASES / 4; seed++) {
        const random = randomFrom(seed);
        const prefix = PREFIXES[seed % PREFIXES.length] as Uint8Array;
        const bytes = toBinary(schema, new Maker(random, prefix).message(schema).message);
        const rewritten = rewrite(prefix, bytes, fields, false);
        const what = `NAMESPACE_SEED=${seed} ${schema.typeName}`;
        // The name of a leader may have become empty, which is then written out.
        const read = toBinary(schema, fromBinary(schema, rewritten));
        assert.ok(same(read, expectedReply(schema, bytes, prefix)), what);
        const step = 1 + Math.floor(random() * 5);
        assert.ok(same(rewrite(prefix, bytes, fields, false, step), rewritten), `${what}, in steps`);
      }
    });
});

describe('every field of bytes in the API', () => {
  /** Fields that are no keys. */
  const OTHERS = [
    'etcdserverpb.PutRequest.value',
    'etcdserverpb.Compare.value',
    'etcdserverpb.SnapshotResponse.blob',
    'mvccpb.KeyValue.value',
    'v3electionpb.CampaignRequest.value',
    'v3electionpb.ProclaimRequest.value',
  ];
  const visited = new Set<DescMessage>();
  const found = new Set<string>();
  const look = (schema: DescMessage): void => {
    if (visited.has(schema)) return;
    visited.add(schema);
    for (const field of schema.fields) {
      if (field.message !== undefined) look(field.message);
      const scalar = field.fieldKind === 'scalar' || field.fieldKind === 'list' ? field.scalar : undefined;
      if (scalar === ScalarType.BYTES) found.add(nameOf(field));
    }
  };
  for (const { input, output } of METHOD_SCHEMAS) for (const schema of [input, output]) look(schema);

  test('is a key that is rewritten, or known to be none', () => {
    const known = new Set([...Object.keys(REQUEST_KEYS), ...REPLY_KEYS, ...OTHERS]);
    assert.deepEqual([...found].filter((name) => !known.has(name)).sort(), []);
    assert.ok(found.size > 25);
  });
});

describe('requests of any bytes', () => {
  /** Changes a few bytes of a message, cuts it, or writes its numbers in more octets than they need. */
  function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
    const mutated = [...bytes];
    for (let left = 1 + Math.floor(random() * 3); left > 0; left--) {
      const at = Math.floor(random() * mutated.length);
      const kind = random();
      if (kind < 0.3) mutated[at] = Math.floor(random() * 256);
      else if (kind < 0.5) mutated.splice(at, 1 + Math.floor(random() * 3));
      else if (kind < 0.6) mutated.splice(at, 0, 0x0b, 0x0a, 1, 0x62, 0x0c);
      else if (kind < 0.7) mutated.length = at;
      else {
        // The same number for whoever loses what does not fit.
        const more = Math.floor(random() * 10);
        const octets = [(mutated[at] ?? 0) | 0x80, ...new Array<number>(more).fill(0x80)];
        octets.push(more === 8 ? 2 : 0);
        mutated.splice(at, 1, ...octets);
      }
    }
    return Uint8Array.from(mutated);
  }

  const NAMING_LEASES: readonly Method[] = [KV.Put, KV.Txn, Lock.Lock, Election.Campaign, Election.Proclaim];

  for (const [method, fields] of REQUEST_FIELDS)
    test(`${method.name}: etcd finds no key outside, and no lease`, () => {
      const schema = schemaOf(method, 'input');
      let read = 0;
      let foreign = 0;
      for (let seed = SEED; seed < SEED + CASES; seed++) {
        const random = randomFrom(seed);
        const prefix = PREFIXES[seed % 4] as Uint8Array;
        const valid = toBinary(schema, new Maker(random).message(schema, 4).message);
        const bytes = mutate(valid, random);
        const ids = new LeaseIds(prefix);
        const leases = new LeasesWithin(ids, new IsolationStats());
        const rewritten = rewrite(prefix, bytes, fields, true, Number.POSITIVE_INFINITY, leases);
        const named = readAsEtcd(rewritten, fields);
        if (named === undefined) continue;
        read++;
        const what = `NAMESPACE_SEED=${seed} ${Buffer.from(bytes.subarray(0, 99)).toString('hex')}`;
        for (const key of named.keys)
          assert.ok(key.length === 0 || same(key.subarray(0, prefix.length), prefix), what);
        const last = behind(prefix);
        for (const end of named.ends)
          assert.ok(same(end, last) || same(end.subarray(0, prefix.length), prefix), what);
        for (const lease of named.leases)
          assert.ok(lease === 0n || lease === ids.absent || ids.owns(lease), what);
        foreign += named.leases.filter((lease) => lease === ids.absent).length;
      }
      assert.ok(read > CASES / 50, `${read} could be read`);
      if (NAMING_LEASES.includes(method)) assert.ok(foreign > 0);
    });

  test('a tag, or a length, that wraps around is none', () => {
    const fields = REQUEST_FIELDS.get(KV.Range) as KeyFields;
    const wrapped = (number: number): number[] => [number | 0x80, ...new Array(8).fill(0x80), 2];
    const key = (...head: number[]): Uint8Array => Uint8Array.of(...head, 0x62);
    for (const message of [key(...wrapped(0x0a), 1), key(0x0a, ...wrapped(1))]) {
      assert.deepEqual(readAsEtcd(message, fields)?.keys, [Uint8Array.of(0x62)], 'etcd takes it');
      assert.equal(readAsEtcd(rewrite(Buffer.from('p/'), message, fields, true), fields), undefined);
    }
    // A field number of 2^32 + 1.
    const far = [0x8a, 0x80, 0x80, 0x80, 0x80, 0x01];
    assert.deepEqual(readAsEtcd(key(...far, 1), fields)?.keys, [Uint8Array.of(0x62)]);
    assert.equal(readAsEtcd(rewrite(Buffer.from('p/'), key(...far, 1), fields, true), fields), undefined);
  });
});

describe('what cannot be rewritten', () => {
  const ranged = REPLY_FIELDS.get(KV.Range) as KeyFields;

  test('a reply with a key outside', () => {
    const reply = toBinary(
      RangeResponseSchema,
      create(RangeResponseSchema, { kvs: [{ key: Buffer.from('q/a') }] }),
    );
    assert.throws(() => rewrite(Buffer.from('p/'), reply, ranged, false), /outside of the namespace/);
  });

  test('a malformed reply', () => {
    assert.throws(() => rewrite(Buffer.from('p/'), Uint8Array.of(0x12, 9), ranged, false), MalformedMessage);
  });

  test('transactions within transactions, up to a bound and without recursion', () => {
    const fields = REQUEST_FIELDS.get(KV.Txn) as KeyFields;
    const nested = (depth: number): Uint8Array => {
      const heads: Uint8Array[] = [];
      let length = 0;
      for (let i = 0; i < depth; i++) {
        const head = new BinaryWriter()
          .uint32(i % 2 === 0 ? 0x22 : 0x12)
          .uint32(length)
          .finish();
        heads.push(head);
        length += head.length;
      }
      return Buffer.concat(heads.reverse());
    };
    assert.equal(rewrite(Buffer.from('p/'), nested(10_000), fields, true).length, nested(10_000).length);
    assert.throws(
      () => rewrite(Buffer.from('p/'), nested(10_002), fields, true),
      (error) => error instanceof RpcError && error.code === 8,
    );
  });
});

test('what has no keys in it is the same object', () => {
  const fields = REPLY_FIELDS.get(Watch.Watch) as KeyFields;
  const created = Uint8Array.of(0x0a, 2, 0x18, 5, 0x18, 1);
  assert.ok(same(rewrite(Buffer.from('p/'), created, fields, false), created));
});
