/**
 * Where keys stand in the messages of etcd: what each field means to whoever rewrites keys. Messages and fields that are
 * not named here have none. `KeyFields` of a message are looked up by the tag of a field, its number and wire type.
 */

import type { Method } from '../rpc/method.ts';
import { Auth, Election, KV, Lease, Lock, Watch } from './methods.ts';

/** What a field is. */
export const Use = {
  /** Nothing with keys. */
  copy: 0,
  /** A message with keys in it. */
  message: 1,
  /** A key in a request; etcd refuses an empty one. */
  key: 2,
  /** The name of a lock or an election in a request, which its keys begin with; it may be empty. */
  name: 3,
  /** The key of a watch; an empty one is the least key. */
  watchKey: 4,
  /** `range_end` in a request: empty, a zero byte, or a key. */
  rangeEnd: 5,
  /** A key or a name in a reply. */
  shown: 6,
  /** One of many keys in a reply, of which some may be left out. */
  listed: 7,
  /** A lease in a request: where leases of elsewhere are hidden, it becomes one that is not there. */
  lease: 8,
} as const;

/** A number of {@link Use}. */
export type Use = (typeof Use)[keyof typeof Use];

/** No tag of a field with keys is larger: that of `Compare.range_end`, whose number is 64. */
const MAX_TAG = (64 << 3) | 2;

/** The fields of one kind of message. */
export class KeyFields {
  /** What must be there: it is added where it is missing, with this tag. Zero: nothing. */
  neededTag = 0;
  /** The tag of its key, where that is written first and nothing behind it is a key; else zero. */
  keyTag = 0;
  readonly #uses = new Uint8Array(MAX_TAG + 1);
  readonly #inner: (KeyFields | undefined)[] = [];

  /** What the field with a tag is. */
  use(tag: number): number {
    return tag <= MAX_TAG ? (this.#uses[tag] as number) : Use.copy;
  }

  /** The fields of the message that a field is. */
  inner(tag: number): KeyFields {
    return this.#inner[tag] as KeyFields;
  }

  /** Says what the field of a number is; every field that matters is delimited, but for leases. */
  has(field: number, use: Exclude<Use, typeof Use.message | typeof Use.lease>): this {
    this.#uses[(field << 3) | 2] = use;
    return this;
  }

  /** Says that the field of a number is a lease. */
  hasLease(field: number): this {
    this.#uses[field << 3] = Use.lease;
    return this;
  }

  /** Says that the field of a number is such a message, or many of them. */
  holds(field: number, inner: KeyFields): this {
    const tag = (field << 3) | 2;
    this.#uses[tag] = Use.message;
    this.#inner[tag] = inner;
    return this;
  }

  /** The same as {@link has}, for a field that means something when it is missing. */
  needs(field: number, use: typeof Use.name | typeof Use.watchKey): this {
    this.neededTag = (field << 3) | 2;
    return this.has(field, use);
  }
}

// Requests.
const range = new KeyFields().has(1, Use.key).has(2, Use.rangeEnd);
const put = new KeyFields().has(1, Use.key).hasLease(3);
const deleteRange = new KeyFields().has(1, Use.key).has(2, Use.rangeEnd);
const compare = new KeyFields().has(3, Use.key).has(64, Use.rangeEnd);
const txn = new KeyFields();
const requestOp = new KeyFields().holds(1, range).holds(2, put).holds(3, deleteRange).holds(4, txn);
txn.holds(1, compare).holds(2, requestOp).holds(3, requestOp);
/** `WatchCreateRequest`. */
const WATCH_CREATE_FIELDS = new KeyFields().needs(1, Use.watchKey).has(2, Use.rangeEnd);
const watch = new KeyFields().holds(1, WATCH_CREATE_FIELDS);
const named = new KeyFields().needs(1, Use.name);
const inSession = new KeyFields().needs(1, Use.name).hasLease(2);
const unlock = new KeyFields().has(1, Use.key);
const leaderKey = new KeyFields().has(1, Use.name).has(2, Use.key).hasLease(4);
const ofLeader = new KeyFields().holds(1, leaderKey);
const permission = new KeyFields().has(2, Use.key).has(3, Use.rangeEnd);
const grantPermission = new KeyFields().holds(2, permission);
const revokePermission = new KeyFields().has(2, Use.key).has(3, Use.rangeEnd);

/** The fields of the requests that have keys, by method. */
export const REQUEST_FIELDS: ReadonlyMap<Method, KeyFields> = new Map([
  [KV.Range, range],
  [KV.RangeStream, range],
  [KV.Put, put],
  [KV.DeleteRange, deleteRange],
  [KV.Txn, txn],
  [Watch.Watch, watch],
  [Auth.RoleGrantPermission, grantPermission],
  [Auth.RoleRevokePermission, revokePermission],
  [Lock.Lock, inSession],
  [Lock.Unlock, unlock],
  [Election.Campaign, inSession],
  [Election.Proclaim, ofLeader],
  [Election.Leader, named],
  [Election.Observe, named],
  [Election.Resign, ofLeader],
]);

// Replies.
const keyValue = new KeyFields().has(1, Use.shown);
keyValue.keyTag = (1 << 3) | 2;
const ranged = new KeyFields().holds(2, keyValue);
const putDone = new KeyFields().holds(2, keyValue);
const deleted = new KeyFields().holds(3, keyValue);
const txnDone = new KeyFields();
const responseOp = new KeyFields().holds(1, ranged).holds(2, putDone).holds(3, deleted).holds(4, txnDone);
txnDone.holds(3, responseOp);
const event = new KeyFields().holds(2, keyValue).holds(3, keyValue);
const leaderShown = new KeyFields().has(1, Use.shown).has(2, Use.shown);

/** The fields of the replies that have keys, by method; but for those of `RoleGet`, which are ranges. */
export const REPLY_FIELDS: ReadonlyMap<Method, KeyFields> = new Map([
  [KV.Range, ranged],
  [KV.RangeStream, new KeyFields().holds(1, ranged)],
  [KV.Put, putDone],
  [KV.DeleteRange, deleted],
  [KV.Txn, txnDone],
  [Watch.Watch, new KeyFields().holds(11, event)],
  [Lease.LeaseTimeToLive, new KeyFields().has(5, Use.listed)],
  [Lock.Lock, new KeyFields().has(2, Use.shown)],
  [Election.Campaign, new KeyFields().holds(2, leaderShown)],
  [Election.Leader, new KeyFields().holds(2, keyValue)],
  [Election.Observe, new KeyFields().holds(2, keyValue)],
]);
