/**
 * The carriers of one token, or of one user: one while answers are prompt, more while heartbeats wait for each other. The lease says
 * which of them a heartbeat is on.
 */
import type { Identity } from '../clients/identity.ts';
import type { LeaseId } from '../etcd/lease-keep-alive.ts';
import { Lease } from '../etcd/methods.ts';
import { type Client, ITSELF } from '../rpc/client.ts';
import type { ClientStream, ClientStreamListener, Upstream } from '../rpc/contract.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Carrier, type CarrierOwner } from './carrier.ts';
import type { Credentials, SharingStream } from './credentials.ts';
import type { Heartbeat, HeartbeatLine } from './heartbeat.ts';
import type { Refused, RefusedOnes } from './refused.ts';
import { Share } from './share.ts';
import type { LeaseStats } from './stats.ts';
import type { Ticker, Ticking } from './ticker.ts';

/** Streams to etcd of one token, or user. */
export const MAX_CARRIERS = 32;

/** So long all answers have to be prompt before half of the streams are given up, in milliseconds. */
const PROMPT_MS = 60_000;

/** So many heartbeats of clients that are gone may be left on the streams, or as many as there are others. */
export const MOST_ABANDONED = 1024;

/** What all carriers share. */
export interface SharedCarriers {
  readonly upstream: Upstream;
  readonly stats: LeaseStats;
  readonly ticker: Ticker;
  readonly refused: Refused;
  /** No client has a stream there any more. */
  onUnused(carriers: Carriers): void;
  /** One has, again. */
  onUsed(carriers: Carriers): void;
}

export class Carriers implements CarrierOwner, Ticking {
  readonly credentials: Credentials;
  readonly stats: LeaseStats;
  /** What answers is not etcd as it is known. */
  isStrange = false;
  /** Whom etcd has refused a heartbeat. */
  refused: RefusedOnes | undefined;
  readonly #shared: SharedCarriers;
  #carriers: Carrier[];
  /** Those that end when what they have sent is answered. */
  readonly #retired = new Set<Carrier>();
  readonly #shares = new WeakMap<Client, Share>();
  #clients = 0;
  /** Heartbeats of clients that are gone, at most so many, and how many there may be. */
  #abandoned = 0;
  #mostAbandoned = MOST_ABANDONED;
  /** It is with the ticker. */
  #ticks = false;
  /** When answers were late, or a stream was given up, in milliseconds of `performance.now()`. */
  #lateAt = 0;

  constructor(shared: SharedCarriers, credentials: Credentials) {
    this.#shared = shared;
    this.credentials = credentials;
    this.stats = shared.stats;
    this.refused = shared.refused.of(credentials.id);
    this.#carriers = [new Carrier(this)];
  }

  /** Stands for them in tables. */
  get id(): string {
    return this.credentials.id;
  }

  /** How many heartbeats are on them, each with all that share its answer. */
  get size(): number {
    return this.#carriers.reduce((sum, { size }) => sum + size, 0);
  }

  get shown(): Identity {
    return this.credentials.shown;
  }

  get renews(): boolean {
    return this.credentials.renews;
  }

  /** What a connection may have on them. */
  shareOf(client: Client): Share {
    // Who is at the other end is not known: then each stream counts by itself.
    if (client === ITSELF) return new Share(this.stats);
    let share = this.#shares.get(client);
    if (share === undefined) {
      share = new Share(this.stats);
      this.#shares.set(client, share);
    }
    return share;
  }

  /** A client's stream begins. */
  enter(member: SharingStream): void {
    this.credentials.enter(member);
    if (this.#clients++ === 0) this.#shared.onUsed(this);
  }

  /** It is over. */
  leave(member: SharingStream): void {
    this.credentials.leave(member);
    if (--this.#clients === 0) this.#shared.onUnused(this);
  }

  /** Nobody waits any more for so many that have no answer. While etcd gives none, they would pile up. */
  abandon(count: number): void {
    this.#abandoned += count;
    if (this.#abandoned < this.#mostAbandoned) return;
    this.#abandoned = 0;
    // As many as are left may follow until all are looked at again: each of them pays for one look at another one.
    const left = this.#carriers.reduce((sum, carrier) => sum + carrier.sweep(), 0);
    this.#mostAbandoned = Math.max(MOST_ABANDONED, left);
  }

  /** Sends a heartbeat. @param request its message, where it is at hand */
  send(heartbeat: Heartbeat, request?: Uint8Array): void {
    if (!this.#ticks) {
      this.#ticks = true;
      this.#shared.ticker.add(this);
    }
    const { length } = this.#carriers;
    const at = length === 1 ? 0 : heartbeat.placeAmong(length);
    (this.#carriers[at] as Carrier).take(heartbeat, request);
  }

  placeAll(line: HeartbeatLine): void {
    for (let each = line.shift(); each !== undefined; each = line.shift()) if (each.isWanted) this.send(each);
  }

  /** A stream to etcd: whoever shares it has to be the same to etcd. */
  open(listener: ClientStreamListener, { metadata }: Identity): ClientStream {
    const call = new OwnCall(Lease.LeaseKeepAlive, metadata, Number.POSITIVE_INFINITY);
    return this.#shared.upstream.stream(call, listener);
  }

  onRefused(lease: LeaseId): void {
    this.stats.refused++;
    this.refused = this.#shared.refused.add(this.id, lease);
  }

  onTokenRefused(shown: Identity): void {
    this.credentials.onRefused(shown);
  }

  onStrange(carrier: Carrier): void {
    this.isStrange = true;
    // It is closed; what others still place there would wait for good.
    const at = this.#carriers.indexOf(carrier);
    if (at < 0) this.#retired.delete(carrier);
    else this.#carriers[at] = new Carrier(this);
  }

  onRetired(carrier: Carrier): void {
    this.#retired.delete(carrier);
  }

  onTick(ms: number): boolean {
    let isLate = false;
    for (const { promptness } of this.#carriers) if (promptness.onTick(ms)) isLate = true;
    if (isLate) this.#grow();
    else if (this.#carriers.length > 1 && performance.now() - this.#lateAt > PROMPT_MS) this.#shrink();
    this.#ticks = this.size > 0;
    return this.#ticks;
  }

  /** Ends all at once. */
  close(): void {
    for (const carrier of [...this.#carriers, ...this.#retired]) carrier.close();
    this.#retired.clear();
  }

  /** Ends each as soon as it has nothing to do. */
  retire(): void {
    for (const carrier of this.#carriers) this.#retire(carrier);
    this.#carriers = [new Carrier(this)];
  }

  #grow(): void {
    this.#lateAt = performance.now();
    const { length } = this.#carriers;
    if (length >= MAX_CARRIERS) {
      this.stats.limits.streams++;
      return;
    }
    const lines = this.#carriers.map((carrier) => carrier.giveBack());
    for (let i = 0; i < length; i++) this.#carriers.push(new Carrier(this));
    for (const line of lines) this.placeAll(line);
  }

  #shrink(): void {
    this.#lateAt = performance.now();
    const spare = this.#carriers.splice(this.#carriers.length / 2);
    for (const carrier of spare) {
      this.#retire(carrier);
      this.placeAll(carrier.giveBack());
    }
  }

  #retire(carrier: Carrier): void {
    this.#retired.add(carrier);
    carrier.retire();
  }
}
