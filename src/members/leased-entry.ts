/**
 * The proxy's entry in etcd and the lease that it hangs on. The proxy chooses the lease's id, so that a grant whose answer was
 * lost is found again and leaves no second lease.
 */
import { randomBytes } from 'node:crypto';
import { headerOf } from '../etcd/header.ts';
import { grantRequest, leasedPutRequest, leaseRequest, ttlIn } from '../etcd/lease-requests.ts';
import { KV, Lease } from '../etcd/methods.ts';
import { isOutage } from '../etcd/statuses.ts';
import { saysLeaseExists } from '../etcd/words.ts';
import type { UnaryHandler } from '../rpc/contract.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { OwnCalls } from './own-calls.ts';

/** How long a call may take, in milliseconds. */
export const CALL_MS = 5000;

/** How etcd is reached. */
export interface EntryEtcd {
  readonly calls: OwnCalls;
  readonly unary: UnaryHandler;
  /** Sends a heartbeat, with those of others. */
  readonly heartbeat: UnaryHandler;
}

/** What is registered, and for how long at a time. */
export interface EntryOptions {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly address: string;
  /** Seconds. */
  readonly ttl: number;
}

export class LeasedEntry {
  /** The time that the lease has, as etcd granted it, in seconds. */
  ttl = 0;
  /** Whether the entry may be in etcd: it was put, or an answer did not come. */
  mayBeThere = false;
  readonly #options: EntryOptions;
  readonly #etcd: EntryEtcd;
  /** The lease that was granted, or may have been. */
  #lease: bigint | undefined;
  #granted = false;

  constructor(options: EntryOptions, etcd: EntryEtcd) {
    this.#options = options;
    this.#etcd = etcd;
  }

  /**
   * Puts the entry, on a lease that is granted if there is none, or none any more.
   * @returns its revision
   * @throws RpcError
   */
  async put(): Promise<number> {
    const kept = this.#granted && this.#lease !== undefined;
    try {
      return await this.#putOn(await this.#grant());
    } catch (error) {
      // A lease that was revoked takes the key along: often nobody has heard of more than the key by then.
      if (!kept || !saysNotFound(error)) throw error;
    }
    return this.#putOn(await this.#grant());
  }

  async #putOn(id: bigint): Promise<number> {
    const { calls, unary } = this.#etcd;
    const { key, value } = this.#options;
    const wasThere = this.mayBeThere;
    this.mayBeThere = true;
    try {
      return headerOf(await calls.ask(unary, KV.Put, leasedPutRequest(key, value, id), CALL_MS)).revision;
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (saysNotFound(error)) this.#lease = undefined;
      this.mayBeThere = wasThere || isOutage(error);
      throw error;
    }
  }

  /** Keeps the lease alive. @param ms how long etcd may take @returns whether there still is one @throws RpcError */
  async beat(ms: number): Promise<boolean> {
    const { calls, heartbeat } = this.#etcd;
    if (this.#lease === undefined) return false;
    const ttl = ttlIn(await calls.ask(heartbeat, Lease.LeaseKeepAlive, leaseRequest(this.#lease), ms));
    if (ttl > 0) this.ttl = ttl;
    else this.#lease = undefined;
    return ttl > 0;
  }

  /**
   * Revokes the lease; the entry is gone with it.
   * @param ms how long etcd may take
   * @throws RpcError
   */
  async revoke(ms: number): Promise<void> {
    const { calls, unary } = this.#etcd;
    if (this.#lease === undefined) return;
    try {
      await calls.ask(unary, Lease.LeaseRevoke, leaseRequest(this.#lease), ms);
    } catch (error) {
      if (!saysNotFound(error)) throw error;
    }
  }

  async #grant(): Promise<bigint> {
    const { calls, unary } = this.#etcd;
    const { ttl } = this.#options;
    if (this.#lease === undefined) this.#granted = false;
    this.#lease ??= newId();
    if (this.#granted) return this.#lease;
    this.ttl = ttl;
    try {
      this.ttl = ttlIn(await calls.ask(unary, Lease.LeaseGrant, grantRequest(this.#lease, ttl), CALL_MS));
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (!saysLeaseExists(error)) {
        if (!isOutage(error)) this.#lease = undefined;
        throw error;
      }
      // An attempt before this one has worked, although its answer did not come.
    }
    this.#granted = true;
    return this.#lease;
  }
}

/** Whether etcd knows no such lease. */
function saysNotFound(error: unknown): boolean {
  return error instanceof RpcError && error.code === Code.NOT_FOUND;
}

/** An id that nobody else chooses: 63 random bits, and not zero. */
function newId(): bigint {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n;
}
