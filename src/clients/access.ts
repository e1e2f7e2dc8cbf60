/**
 * What one client may read of one range, and how far etcd is: the two probes that ask etcd, of any member and of the
 * cluster, and what they have learned of the client's permission.
 */
import type { KeyRange } from '../etcd/key-range.ts';
import { isRefusal } from '../etcd/statuses.ts';
import { RpcError } from '../rpc/status.ts';
import type { Identity } from './identity.ts';
import type { Permission } from './permission.ts';
import { type Asker, Probe } from './probe.ts';

/** What can be found out about a client and a range. */
export interface Access {
  /** Whether etcd has allowed the client to read not long ago. */
  readonly allowed: boolean;
  /** Asks for a revision that is not older than this moment. */
  revision(asker: Asker): void;
  /** Asks whether the client may read, with the revision of any member. */
  permission(asker: Asker): void;
}

/** What is known of a client and a range where answers are shared. */
export interface ReaderAccess {
  /** Whether etcd has allowed the client to read not long ago. Asks again when that will soon be too long ago. */
  mayRead(now: number): boolean;
  /** etcd has allowed what it was asked at a time, by a read of the client's own. */
  grant(askedAt: number): void;
  /** etcd refuses the client a read of its own: what it was asked until now counts no more. */
  refuse(now: number): void;
}

/** The table that it stands in. */
export interface AccessOwner {
  /** Asks etcd, in the client's name. */
  read(identity: Identity, request: Uint8Array): Promise<Uint8Array>;
  /** It has its first asker, or its first again. */
  onAsked(access: RangeAccess): void;
  /** It has no askers any more. */
  onIdle(access: RangeAccess): void;
  /** etcd lets the client read. */
  onAllowed(access: RangeAccess): void;
  /** etcd refuses the client. */
  onRefused(access: RangeAccess, now: number): void;
}

/** One client and one range, as the table of probes has them. */
export class RangeAccess implements Access, ReaderAccess {
  /** Of the client and the range. */
  readonly key: string;
  readonly identity: Identity;
  readonly range: KeyRange;
  readonly #owner: AccessOwner;
  readonly #permission: Permission;
  #linearizable: Probe | undefined;
  #serializable: Probe | undefined;

  constructor(owner: AccessOwner, key: string, identity: Identity, range: KeyRange, permission: Permission) {
    this.#owner = owner;
    this.key = key;
    this.identity = identity;
    this.range = range;
    this.#permission = permission;
  }

  get allowed(): boolean {
    return this.#permission.has(performance.now());
  }

  mayRead(now: number): boolean {
    const permission = this.#permission;
    if (!permission.has(now)) return false;
    if (permission.isDue(now)) {
      permission.onAsked(now);
      // What etcd says to the question counts from when that is sent.
      const onProbed = (): void => permission.onAnswered(undefined, performance.now());
      this.permission({ askedStart: 0, onProbed });
    }
    return true;
  }

  grant(askedAt: number): void {
    this.#permission.grant(askedAt);
    this.#owner.onAllowed(this);
  }

  refuse(now: number): void {
    this.#permission.refuse(now);
    this.#owner.onRefused(this, now);
  }

  revision(asker: Asker): void {
    this.#linearizable ??= this.#probe(true);
    this.#ask(this.#linearizable, asker);
  }

  permission(asker: Asker): void {
    this.#serializable ??= this.#probe(false);
    this.#ask(this.#serializable, asker);
  }

  /** Whether somebody waits. */
  get #busy(): boolean {
    return this.#linearizable?.busy === true || this.#serializable?.busy === true;
  }

  #ask(probe: Probe, asker: Asker): void {
    if (!this.#busy) this.#owner.onAsked(this);
    probe.ask(asker);
  }

  #probe(linearizable: boolean): Probe {
    const { start, rangeEnd } = this.range;
    const probe = new Probe((request) => this.#read(request), start, rangeEnd, linearizable);
    probe.onIdle = () => {
      if (!this.#busy) this.#owner.onIdle(this);
    };
    return probe;
  }

  async #read(request: Uint8Array): Promise<Uint8Array> {
    const sent = performance.now();
    try {
      const reply = await this.#owner.read(this.identity, request);
      this.#permission.grant(sent);
      this.#owner.onAllowed(this);
      return reply;
    } catch (error) {
      if (isRefusal(RpcError.from(error))) this.refuse(performance.now());
      throw error;
    }
  }
}
