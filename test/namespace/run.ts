/** Does steps one after the other, and finds out whether any of them reached out of its namespace. */
import assert from 'node:assert/strict';
import { fromBinary } from '@bufbuild/protobuf';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV, type RangeResponse } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { WatchCreateRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { Election, LeaderRequestSchema, LeaderResponseSchema } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { type Rpc, rpc } from '../differential/rpc.ts';
import { WatchCall } from '../support/watch-client.ts';
import { type Client, encoded, markOf, readOf, txnOf } from './actor.ts';
import {
  type Act,
  type Actor,
  NAMESPACES,
  type Plain,
  type Read,
  type Span,
  type Step,
  type Txn,
} from './steps.ts';
import { type Seen, Watches } from './watches.ts';
import {
  ask,
  bytesOf,
  clear,
  isIn,
  isKeyless,
  isWithin,
  latin1,
  outside,
  seenIn,
  type World,
  worldOf,
} from './world.ts';

/** The one role: both namespaces and others have permissions in it. */
const ROLE = 'shared';

const NOTHING = new Uint8Array();

/** Clients, and the leases that they may use. */
export interface Place {
  readonly clients: Readonly<Record<Actor, Client>>;
  readonly leases: Readonly<Record<Actor, bigint>>;
  /** Whether a watch can be asked if there is more. */
  readonly progressIsSafe: boolean;
}

type ActOf<Does extends Act['does']> = Extract<Act, { readonly does: Does }>;

/** One run of steps on an etcd that is emptied before. */
export class Run {
  readonly #place: Place;
  readonly #watches = new Watches();

  constructor(place: Place) {
    this.#place = place;
  }

  /** @throws AssertionError for what reached out */
  async run(steps: readonly Step[]): Promise<void> {
    const { grpc: etcd } = this.#place.clients[''];
    await clear(etcd);
    await ask(etcd, Auth.method.roleAdd, { name: ROLE });
    const history = new WatchCall(etcd);
    try {
      await history.created({ key: bytesOf('\0'), rangeEnd: bytesOf('\0') });
      let before = await worldOf(etcd);
      for (const [at, step] of steps.entries()) {
        const what = `step ${at}: ${JSON.stringify(step)}`;
        try {
          await this.#do(step, before);
        } catch (error) {
          if (error instanceof assert.AssertionError) error.message = `${what}\n${error.message}`;
          throw error;
        }
        before = this.#check(step.actor, before, await worldOf(etcd), what);
      }
      await this.#watches.check(history, etcd, this.#place.progressIsSafe);
      this.#checkShown('what watches were shown');
    } finally {
      history.close();
      this.#watches.close();
    }
  }

  /** Whatever a step did, it did it within. */
  #check(actor: Actor, before: World, after: World, what: string): World {
    this.#checkShown(what);
    if (actor === '') return after;
    assert.deepEqual(outside(actor, after), outside(actor, before), `${what} changed something outside`);
    for (const [other, lease] of Object.entries(this.#place.leases))
      if (other !== actor) assert.ok(after.leases.includes(lease), `${what}: a lease is gone`);
    return after;
  }

  /** Nobody has seen what another one has written. */
  #checkShown(what: string): void {
    for (const actor of NAMESPACES) {
      const { shown } = this.#place.clients[actor];
      for (const other of ['a/', 'a0', ''] as const)
        if (other !== actor)
          for (const text of shown)
            assert.ok(!text.includes(markOf(other)), `${what}: ${actor} was shown what is of ${other}`);
      shown.length = 0;
    }
  }

  async #do({ actor, door, act }: Step, before: World): Promise<void> {
    const client = this.#place.clients[actor];
    switch (act.does) {
      case 'read':
        return this.#read(client, door, act.read, before);
      case 'put':
        return this.#put(client, door, act);
      case 'delete':
        return this.#delete(client, door, act.span, before);
      case 'txn':
        return this.#txn(client, door, act.txn, before);
      case 'watch':
        return this.#watch(client, act);
      case 'ttl':
        return this.#timeToLive(client, door, before);
      case 'lock':
        return this.#lock(client, door, act.name);
      case 'election':
        return this.#election(client, door, act.name);
      case 'allow': {
        const { key, end } = act.span;
        const perm = { permType: 2, key: bytesOf(key), rangeEnd: bytesOf(end) };
        await client.ask(door, Auth.method.roleGrantPermission, { name: ROLE, perm });
        return;
      }
      case 'forbid': {
        const { key, end } = act.span;
        const range = { key: bytesOf(key), rangeEnd: bytesOf(end) };
        await client.ask(door, Auth.method.roleRevokePermission, { role: ROLE, ...range });
        return;
      }
      case 'role':
        return this.#role(client, door, before);
      case 'raw':
        client.note(await client.grpc.call(...rawOf(act, client.mark)));
    }
  }

  async #read(client: Client, door: Step['door'], read: Read, before: World): Promise<void> {
    const expected = seenIn(before, client.actor, read);
    if (read.what === 'streamed') {
      const { outcome, replies } = await client.ask(door, KV.method.rangeStream, readOf(read));
      if (outcome.code !== 0) return; // before 3.7 there is none
      const keys = replies
        .flatMap(({ rangeResponse }) => rangeResponse?.kvs ?? [])
        .map(({ key }) => latin1(key));
      assert.deepEqual(keys.toSorted(), expected.toSorted());
      return;
    }
    const { outcome, replies } = await client.ask(door, KV.method.range, readOf(read));
    assert.equal(outcome.code === 0, read.key !== '', outcome.message);
    if (replies[0] !== undefined) checkRange(replies[0], read, expected);
  }

  async #put(client: Client, door: Step['door'], { key, leased }: ActOf<'put'>): Promise<void> {
    const lease = leased ? this.#place.leases[client.actor] : 0n;
    const request = { key: bytesOf(key), value: bytesOf(client.mark), lease, prevKv: true };
    const { outcome } = await client.ask(door, KV.method.put, request);
    assert.equal(outcome.code === 0, key !== '', outcome.message);
    if (key === '') return;
    const { kvs } = await ask(this.#place.clients[''].grpc, KV.method.range, {
      key: bytesOf(client.actor + key),
    });
    assert.deepEqual([latin1(kvs[0]?.value ?? NOTHING), kvs[0]?.lease], [client.mark, lease]);
  }

  async #delete(client: Client, door: Step['door'], span: Span, before: World): Promise<void> {
    const expected = seenIn(before, client.actor, span);
    const request = { key: bytesOf(span.key), rangeEnd: bytesOf(span.end), prevKv: true };
    const { outcome, replies } = await client.ask(door, KV.method.deleteRange, request);
    assert.equal(outcome.code === 0, span.key !== '', outcome.message);
    if (replies[0] === undefined) return;
    const gone = replies[0].prevKvs.map(({ key }) => latin1(key));
    assert.deepEqual([gone.toSorted(), replies[0].deleted], [expected.toSorted(), BigInt(expected.length)]);
    assert.deepEqual(seenIn(await worldOf(this.#place.clients[''].grpc), client.actor, span), []);
  }

  async #txn(client: Client, door: Step['door'], txn: Txn, before: World): Promise<void> {
    const { outcome, replies } = await client.ask(door, KV.method.txn, txnOf(txn, client.mark));
    if (outcome.code !== 0) {
      assert.match(outcome.message, /^etcdserver: (key is not provided|duplicate key given in txn request)$/);
      return;
    }
    const holds = txn.compare.every(
      ({ exists, ...span }) => seenIn(before, client.actor, span).length > 0 === exists,
    );
    assert.equal(replies[0]?.succeeded, holds, 'the comparisons');
  }

  async #watch(client: Client, { span, browser }: ActOf<'watch'>): Promise<void> {
    const { key, end } = span;
    const create = { key: bytesOf(key), rangeEnd: bytesOf(end), prevKv: true };
    const watched = { prefix: client.actor, span: { key: key || '\0', end } };
    const note = (seen: Uint8Array): void => void client.shown.push(latin1(seen));
    const isEmpty = end !== '' && end !== '\0' && watched.span.key >= end;
    let seen: Seen;
    if (browser) {
      const path = `/${Browser.typeName}/${Browser.method.watch.name}`;
      const call = client.grpc.open(path);
      call.send(encoded(WatchCreateRequestSchema, create));
      call.halfClose();
      seen = await this.#watches.add(call, watched, note);
    } else {
      const watch = new WatchCall(client.grpc);
      watch.create(create);
      seen = await this.#watches.add(watch, watched, note);
    }
    assert.equal(seen.canceled, isEmpty, 'the watch is canceled');
  }

  async #timeToLive(client: Client, door: Step['door'], before: World): Promise<void> {
    const ID = this.#place.leases[client.actor];
    const { replies } = await client.ask(door, Lease.method.leaseTimeToLive, { ID, keys: true });
    const all = { key: '\0', end: '\0' };
    const leased = { ...before, keys: before.keys.filter(({ lease }) => lease === ID) };
    assert.deepEqual(
      replies[0]?.keys.map(latin1).toSorted(),
      seenIn(leased, client.actor, all).toSorted(),
      'the keys of the lease',
    );
  }

  /** Two namespaces have the same lock at the same time. */
  async #lock(client: Client, door: Step['door'], name: string): Promise<void> {
    const { clients, leases } = this.#place;
    const other = clients[client.actor === 'a/' ? 'a0' : 'a/'];
    const lock = async (by: Client): Promise<Uint8Array> => {
      const request = { name: bytesOf(name), lease: leases[by.actor] };
      const { outcome, replies } = await by.ask(door, Lock.method.lock, request);
      assert.equal(outcome.code, 0, `${by.actor} does not get its lock: ${outcome.message}`);
      const key = replies[0]?.key as Uint8Array;
      const full = Buffer.concat([bytesOf(by.actor), key]);
      const { kvs } = await ask(clients[''].grpc, KV.method.range, { key: full });
      assert.equal(kvs.length, 1, `there is no key ${full.toString('latin1')}`);
      return key;
    };
    const theirs = await lock(other);
    const mine = await lock(client);
    // Neither the name that the other has for its key nor that of etcd unlocks it.
    for (const key of [theirs, Buffer.concat([bytesOf(other.actor), theirs])])
      await client.ask(door, Lock.method.unlock, { key });
    const full = Buffer.concat([bytesOf(other.actor), theirs]);
    const { kvs } = await ask(clients[''].grpc, KV.method.range, { key: full });
    assert.equal(kvs.length, 1, 'the lock of the other is gone');
    await other.ask(door, Lock.method.unlock, { key: theirs });
    await client.ask(door, Lock.method.unlock, { key: mine });
  }

  /** Two namespaces have a leader each of the same election. */
  async #election(client: Client, door: Step['door'], name: string): Promise<void> {
    const { clients, leases } = this.#place;
    const other = clients[client.actor === 'a/' ? 'a0' : 'a/'];
    const won = async (by: Client) => {
      const request = { name: bytesOf(name), lease: leases[by.actor], value: bytesOf(by.mark) };
      const { outcome, replies } = await by.ask(door, Election.method.campaign, request);
      assert.equal(outcome.code, 0, `${by.actor} does not win: ${outcome.message}`);
      return replies[0]?.leader;
    };
    const theirs = await won(other);
    const mine = await won(client);
    const leader = { name: bytesOf(name) };
    const { replies } = await client.ask(door, Election.method.leader, leader);
    assert.equal(latin1(replies[0]?.kv?.key ?? NOTHING), latin1(mine?.key ?? NOTHING));
    const first = await client.first('/v3electionpb.Election/Observe', encoded(LeaderRequestSchema, leader));
    assert.ok(first, 'nobody is observed');
    assert.equal(latin1(fromBinary(LeaderResponseSchema, first).kv?.value ?? NOTHING), client.mark);
    const ofOthers = theirs && { ...theirs, key: Buffer.concat([bytesOf(other.actor), theirs.key]) };
    if (theirs && ofOthers)
      for (const each of [theirs, ofOthers].filter(({ rev }) => rev !== mine?.rev)) {
        await client.ask(door, Election.method.proclaim, { leader: each, value: bytesOf(client.mark) });
        await client.ask(door, Election.method.resign, { leader: each });
      }
    const { replies: still } = await other.ask(door, Election.method.leader, leader);
    assert.equal(latin1(still[0]?.kv?.value ?? NOTHING), other.mark, 'the other leader');
    if (mine) await client.ask(door, Election.method.resign, { leader: mine });
    if (theirs) await other.ask(door, Election.method.resign, { leader: theirs });
  }

  async #role(client: Client, door: Step['door'], { allowed }: World): Promise<void> {
    const { outcome, replies } = await client.ask(door, Auth.method.roleGet, { role: ROLE });
    if (outcome.code !== 0) return; // isolated namespaces see none
    for (const { key, rangeEnd } of replies[0]?.perm ?? []) {
      const [k, end] = [latin1(key), latin1(rangeEnd)];
      if (k === '') {
        assert.ok(allowed.some(isKeyless), 'nobody was granted a permission without a key');
        continue;
      }
      const last = client.actor.length - 1;
      const behind = client.actor.slice(0, last) + String.fromCharCode(client.actor.charCodeAt(last) + 1);
      const full = { key: client.actor + k, end: end === '\0' ? behind : end && client.actor + end };
      assert.ok(isWithin(client.actor, full), `a permission of outside: ${JSON.stringify(full)}`);
      assert.ok(
        // Until 3.4 etcd takes ranges that end before they begin, which are shown as they were granted.
        allowed.some(
          (each) =>
            (!isKeyless(each) && isIn(full.key, each)) || (each.key === full.key && each.end === full.end),
        ),
        `nobody allowed ${JSON.stringify(full)}`,
      );
    }
  }
}

/** A call of bytes that may be a message. */
function rawOf({ of, edits }: ActOf<'raw'>, mark: string): [path: string, messages: Uint8Array[]] {
  const { path, request } = plainOf(of, mark);
  let bytes = request;
  for (const { at, remove, insert } of edits) {
    const from = Math.round(at * bytes.length);
    bytes = Buffer.concat([bytes.subarray(0, from), Buffer.from(insert), bytes.subarray(from + remove)]);
  }
  return [path, [bytes]];
}

function plainOf(act: Plain, mark: string): Rpc {
  switch (act.does) {
    case 'read':
      if (act.read.what === 'streamed') return rpc(KV.method.rangeStream, readOf(act.read));
      return rpc(KV.method.range, readOf(act.read));
    case 'put':
      return rpc(KV.method.put, { key: bytesOf(act.key), value: bytesOf(mark) });
    case 'delete':
      return rpc(KV.method.deleteRange, { key: bytesOf(act.span.key), rangeEnd: bytesOf(act.span.end) });
    case 'txn':
      return rpc(KV.method.txn, txnOf(act.txn, mark));
  }
}

function checkRange(reply: RangeResponse, { what }: Read, expected: readonly string[]): void {
  const keys = reply.kvs.map(({ key }) => latin1(key));
  assert.equal(reply.count, BigInt(expected.length), 'the count');
  if (what === 'all' || what === 'keys') assert.deepEqual(keys, expected.toSorted());
  else assert.deepEqual(keys, what === 'first' ? expected.toSorted().slice(-1) : []);
}
