/**
 * Heartbeats: each is one message of a client. Nothing is made for one but the object itself, which is in the line of its
 * client's stream, in a line of a carrier, or in the chain of those that share the answer of another one.
 */
import type { LeaseId } from '../etcd/lease-keep-alive.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Status } from '../rpc/status.ts';

/** How a stream ended on which a heartbeat was not answered. */
export interface HeartbeatRefusal {
  readonly status: Status;
  readonly trailers: Metadata;
  /** Whether it was about this heartbeat, and not about all that were there. */
  readonly own: boolean;
  /** Whether what waits would meet the same now. */
  readonly forAll: boolean;
}

/** The client's stream that a heartbeat came on. */
export interface HeartbeatOwner {
  /** @param reply etcd's own; a slice of more that has arrived, so what is kept of it is copied */
  onReply(heartbeat: Heartbeat, reply: Uint8Array): void;
  /** The stream that it was on ended without an answer to it. */
  onRefused(heartbeat: Heartbeat, refusal: HeartbeatRefusal): void;
  /** What answers is not etcd as it is known: the stream is left to it, with this heartbeat and those behind it. */
  onStrange(): void;
}

export class Heartbeat implements LeaseId {
  readonly low: number;
  readonly high: number;
  /** Who waits for the answer; undefined once nobody does. */
  owner: HeartbeatOwner | undefined;
  /** What came before it was its turn on the client's stream. */
  reply: Uint8Array | undefined = undefined;
  refusal: HeartbeatRefusal | undefined = undefined;
  /** The next one on the client's stream. */
  next: Heartbeat | undefined = undefined;
  /** The next one on the carrier. */
  after: Heartbeat | undefined = undefined;
  /** The next one that shares the answer, and the last one of these. */
  joined: Heartbeat | undefined = undefined;
  lastJoined: Heartbeat | undefined = undefined;

  constructor({ low, high }: LeaseId, owner: HeartbeatOwner) {
    this.low = low;
    this.high = high;
    this.owner = owner;
  }

  /** Whether it is for that lease. */
  isFor({ low, high }: LeaseId): boolean {
    return this.low === low && this.high === high;
  }

  /** A number that few leases have in common. */
  get hash(): number {
    return Math.imul(this.low ^ Math.imul(this.high, 0x85ebca6b), 0x9e3779b1) | 0;
  }

  /**
   * Which of so many places its lease has. By the upper bits of the hash: the lower ones are the same where those of the leases
   * are, and etcd grants every second number.
   */
  placeAmong(count: number): number {
    return Math.floor(((this.hash >>> 0) * count) / 2 ** 32);
  }

  /** Another one gets the answer to this one too, with all that share it. */
  join(heartbeat: Heartbeat): void {
    (this.lastJoined ?? this).joined = heartbeat;
    this.lastJoined = heartbeat.lastJoined ?? heartbeat;
  }

  /** Lets go of those that share the answer and that nobody waits for. @returns how many there are now, with this one */
  prune(): number {
    let last: Heartbeat = this;
    let count = 1;
    for (let each = this.joined; each !== undefined; each = each.joined) {
      if (each.owner === undefined) continue;
      last.joined = each;
      last = each;
      count++;
    }
    last.joined = undefined;
    this.lastJoined = last === this ? undefined : last;
    return count;
  }

  /** Whether somebody waits for the answer. */
  get isWanted(): boolean {
    for (let each: Heartbeat | undefined = this; each !== undefined; each = each.joined)
      if (each.owner !== undefined) return true;
    return false;
  }
}

/** A line of heartbeats on a carrier, the first one first. */
export class HeartbeatLine {
  size = 0;
  #first: Heartbeat | undefined;
  #last: Heartbeat | undefined;

  get first(): Heartbeat | undefined {
    return this.#first;
  }

  push(heartbeat: Heartbeat): void {
    heartbeat.after = undefined;
    if (this.#last === undefined) this.#first = heartbeat;
    else this.#last.after = heartbeat;
    this.#last = heartbeat;
    this.size++;
  }

  shift(): Heartbeat | undefined {
    const first = this.#first;
    if (first === undefined) return undefined;
    this.#first = first.after;
    if (this.#first === undefined) this.#last = undefined;
    first.after = undefined;
    this.size--;
    return first;
  }

  /** All that are in another line go to the front of this one. */
  prepend(line: HeartbeatLine): void {
    const last = line.#last;
    if (last === undefined) return;
    last.after = this.#first;
    this.#last ??= last;
    this.#first = line.#first;
    this.size += line.size;
    line.#first = undefined;
    line.#last = undefined;
    line.size = 0;
  }

  /** Takes those away that nobody waits for. @returns how many */
  drop(): number {
    const before = this.size;
    for (let left = before; left > 0; left--) {
      const heartbeat = this.shift() as Heartbeat;
      if (heartbeat.isWanted) this.push(heartbeat);
    }
    return before - this.size;
  }

  /** Those of one lease become one, where the first of them is. @returns how many fewer there are now */
  unite(): number {
    const before = this.size;
    const byLease = new Map<number, Heartbeat>();
    for (let left = before; left > 0; left--) {
      const heartbeat = this.shift() as Heartbeat;
      const { hash } = heartbeat;
      const other = byLease.get(hash);
      if (other?.isFor(heartbeat)) {
        other.join(heartbeat);
        continue;
      }
      if (other === undefined) byLease.set(hash, heartbeat);
      this.push(heartbeat);
    }
    return before - this.size;
  }

  /** Calls with each, the first one first. */
  each(call: (heartbeat: Heartbeat) => void): void {
    for (let each = this.#first; each !== undefined; each = each.after) call(each);
  }
}
