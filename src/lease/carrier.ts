/**
 * A stream to etcd that carries heartbeats of many clients. etcd answers them in the order in which they were sent:
 *
 *   take() ─▶ waiting, where another one for the same lease may join ─▶ sent, at most WINDOW ─▶ answered
 */
import type { Identity } from '../clients/identity.ts';
import { keepAliveRequest, type LeaseId, LeaseReader } from '../etcd/lease-keep-alive.ts';
import { isOutage } from '../etcd/statuses.ts';
import { refusalIn, refusesUser, saysNotPrimary, saysPermissionDenied, wantsToken } from '../etcd/words.ts';
import type { ClientStream, ClientStreamListener, Keeper } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { PassingMap } from '../rpc/passing-map.ts';
import type { Status } from '../rpc/status.ts';
import { type Heartbeat, HeartbeatLine, type HeartbeatRefusal } from './heartbeat.ts';
import { Promptness } from './promptness.ts';
import type { LeaseStats } from './stats.ts';

/** Heartbeats without an answer on one stream. What waits here instead is shared, moves to other streams, or is not sent. */
const WINDOW = 64;

/** Who has carriers. */
export interface CarrierOwner {
  readonly stats: LeaseStats;
  /** Whose token streams show now. */
  readonly shown: Identity;
  /** Whether they may show another one where etcd does not take it. */
  readonly renews: boolean;
  open(listener: ClientStreamListener, shown: Identity): ClientStream;
  /** Finds other carriers for heartbeats. */
  placeAll(line: HeartbeatLine): void;
  /** A lease was refused. */
  onRefused(lease: LeaseId): void;
  /** etcd does not take the token that a stream has shown. */
  onTokenRefused(shown: Identity): void;
  /** What answers a carrier is not etcd as it is known: nothing may be shared on the way to it. The carrier closes. */
  onStrange(carrier: Carrier): void;
  /** Nothing is left of one that was to end. */
  onRetired(carrier: Carrier): void;
}

const reader = new LeaseReader();

export class Carrier implements ClientStreamListener, Keeper {
  /** Heartbeats that were answered, or left in another way. */
  done = 0;
  readonly keeper: Keeper = this;
  readonly promptness = new Promptness(this);
  readonly #owner: CarrierOwner;
  readonly #sent = new HeartbeatLine();
  readonly #waiting = new HeartbeatLine();
  /** Those that wait, by the hash of their lease; of leases with the same one only the first. */
  readonly #byLease = new PassingMap<number, Heartbeat>();
  #stream: ClientStream | undefined;
  /** Whose token it shows. */
  #shown: Identity | undefined;
  /** The stream has begun on a connection. */
  #begun = false;
  /** The stream takes no more. */
  #blocked = false;
  #retired = false;

  constructor(owner: CarrierOwner) {
    this.#owner = owner;
  }

  /** How many heartbeats are on it. */
  get size(): number {
    return this.#sent.size + this.#waiting.size;
  }

  /** Takes a heartbeat. @param request its message, where it is at hand */
  take(heartbeat: Heartbeat, request?: Uint8Array): void {
    if (this.#hasRoom && this.#waiting.size === 0) {
      this.#send(heartbeat, request ?? keepAliveRequest(heartbeat));
      return;
    }
    const { hash } = heartbeat;
    const other = this.#byLease.get(hash);
    if (other?.isFor(heartbeat)) {
      other.join(heartbeat);
      this.#owner.stats.joined++;
      return;
    }
    if (other === undefined) this.#byLease.set(hash, heartbeat);
    this.#waiting.push(heartbeat);
  }

  /** Gives back what waits. */
  giveBack(): HeartbeatLine {
    this.done += this.#waiting.size;
    return this.#takeWaiting();
  }

  /** Lets go of what nobody waits for any more. @returns how many are left, with those that share an answer */
  sweep(): number {
    let left = 0;
    const prune = (heartbeat: Heartbeat): void => {
      left += heartbeat.prune();
    };
    this.#sent.each(prune);
    this.#waiting.each(prune);
    const dropped = this.#waiting.drop();
    this.done += dropped;
    this.#byLease.clear();
    this.#waiting.each((heartbeat) => {
      if (this.#byLease.get(heartbeat.hash) === undefined) this.#byLease.set(heartbeat.hash, heartbeat);
    });
    return left - dropped;
  }

  /** Ends once what was sent is answered. */
  retire(): void {
    this.#retired = true;
    this.#finishIfDone();
  }

  /** Ends at once. */
  close(): void {
    this.#retired = true;
    if (this.#stream === undefined) return;
    this.#onGone();
    this.#stream.cancel();
    this.#stream = undefined;
  }

  /** What has to be sent on the connection that the stream is on now. */
  unanswered(): readonly Uint8Array[] {
    const dropped = this.#sent.drop();
    this.done += dropped;
    // Where all were dropped, no answer will come that makes room. The stream is still beginning: it takes nothing until then.
    if (dropped > 0) queueMicrotask(() => this.#advanceIfOpen());
    const requests: Uint8Array[] = [];
    this.#sent.each((heartbeat) => requests.push(keepAliveRequest(heartbeat)));
    if (this.#begun) this.#owner.stats.resent += requests.length;
    this.#begun = true;
    return requests;
  }

  onHeaders(): void {
    // They belong to no heartbeat.
  }

  onMessage(reply: Uint8Array): void {
    const { first } = this.#sent;
    if (first === undefined || !reader.isReplyTo(reply, first)) {
      this.#onStrange();
      return;
    }
    this.#sent.shift();
    this.done++;
    for (let each: Heartbeat | undefined = first; each !== undefined; each = each.joined)
      each.owner?.onReply(each, reply);
    this.#advance();
  }

  onDrain(): void {
    this.#blocked = false;
    this.#advance();
  }

  onEnd(status: Status, trailers: Metadata): void {
    if (this.#stream === undefined) return;
    this.#stream = undefined;
    this.#onGone();
    // Nothing else that etcd says is about one heartbeat: it is about the user, the member, or the way to it.
    if (refusesUser(status)) this.#failFirst({ status, trailers, own: true, forAll: false });
    else if (this.#owner.renews && wantsToken(status)) this.#showAnother();
    else this.#failAll({ status, trailers, own: false, forAll: isForAll(status) });
    this.#advance();
  }

  /** Each hears of what is about all that were sent, or about whatever is sent now. */
  #failAll(refusal: HeartbeatRefusal): void {
    const failed = refusal.forAll ? this.#takeWaiting() : new HeartbeatLine();
    failed.prepend(this.#sent);
    for (let each = failed.shift(); each !== undefined; each = failed.shift()) this.#refuse(each, refusal);
  }

  #takeWaiting(): HeartbeatLine {
    const line = new HeartbeatLine();
    line.prepend(this.#waiting);
    this.#byLease.clear();
    return line;
  }

  /** etcd has refused the first one that has no answer; the others go out again. */
  #failFirst(refusal: HeartbeatRefusal): void {
    const first = this.#sent.shift();
    this.#putBack();
    if (first === undefined) return;
    this.#owner.onRefused(first);
    this.#refuse(first, refusal);
  }

  /** Clients that have shown the refused token leave; what is of others goes out again with one of theirs. */
  #showAnother(): void {
    this.#putBack();
    this.#owner.onTokenRefused(this.#shown as Identity);
  }

  /**
   * What was sent waits again, before all others. Those of one lease are one now: they will be answered anew, and if it is
   * that lease which is refused, each of them would end the stream once more.
   */
  #putBack(): void {
    const { stats } = this.#owner;
    this.done += this.#sent.drop();
    const joined = this.#sent.unite();
    this.done += joined;
    stats.joined += joined;
    stats.resent += this.#sent.size;
    this.#waiting.prepend(this.#sent);
  }

  get #hasRoom(): boolean {
    return this.#sent.size < WINDOW && !this.#blocked && !this.#retired;
  }

  /** Sends of what waits as much as there is room for. */
  #advance(): void {
    if (this.#retired) {
      this.#owner.placeAll(this.giveBack());
      this.#finishIfDone();
      return;
    }
    while (this.#waiting.size > 0 && this.#hasRoom) {
      const heartbeat = this.#waiting.shift() as Heartbeat;
      const { hash } = heartbeat;
      if (this.#byLease.get(hash) === heartbeat) this.#byLease.delete(hash);
      if (heartbeat.isWanted) this.#send(heartbeat, keepAliveRequest(heartbeat));
      else this.done++;
    }
  }

  #advanceIfOpen(): void {
    if (this.#stream !== undefined) this.#advance();
  }

  #send(heartbeat: Heartbeat, request: Uint8Array): void {
    this.#stream ??= this.#open();
    this.#sent.push(heartbeat);
    if (!this.#stream.send(request)) this.#blocked = true;
  }

  #open(): ClientStream {
    this.#owner.stats.streams++;
    this.#shown = this.#owner.shown;
    return this.#owner.open(this, this.#shown);
  }

  #refuse(heartbeat: Heartbeat, refusal: HeartbeatRefusal): void {
    this.done++;
    for (let each: Heartbeat | undefined = heartbeat; each !== undefined; each = each.joined)
      each.owner?.onRefused(each, refusal);
  }

  /** What answers does not do so one after the other: nobody can be told whose answer this was. */
  #onStrange(): void {
    this.#owner.onStrange(this);
    this.close();
    const all = this.giveBack();
    all.prepend(this.#sent);
    for (let each = all.shift(); each !== undefined; each = all.shift())
      for (let one: Heartbeat | undefined = each; one !== undefined; one = one.joined) one.owner?.onStrange();
  }

  #finishIfDone(): void {
    if (this.#sent.size > 0) return;
    this.#owner.onRetired(this);
    if (this.#stream === undefined) return;
    this.#onGone();
    this.#stream.halfClose();
    this.#stream = undefined;
  }

  #onGone(): void {
    this.#begun = false;
    this.#blocked = false;
    this.#owner.stats.streams--;
  }
}

/**
 * Whether a status, which is not about one heartbeat, is about the member, the way to it, or the token that all share: one
 * after the other would meet it.
 */
function isForAll(status: Status): boolean {
  const isOfWay = isOutage(status) || saysPermissionDenied(status);
  return isOfWay || refusalIn(status) !== undefined || saysNotPrimary(status) || wantsToken(status);
}
