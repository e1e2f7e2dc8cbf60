/** The calls with which a rehearsal prepares its cluster and looks at the result, past everything that it is about. */
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { b } from '../support/watch-client.ts';
import { endOf } from './long-calls.ts';

/** A key of the store. */
export interface StoredKey {
  /** How often it was put. */
  readonly version: bigint;
  readonly revision: bigint;
}

const LIMIT = { timeoutMs: 20_000 };
const PAGE = 5_000n;

/** Clients of a member that stays as it is. */
export class Admin {
  readonly #kv;
  readonly #lease;
  readonly #lock;
  readonly #maintenance;

  constructor(address: string) {
    const transport = createGrpcTransport({ baseUrl: `http://${address}` });
    this.#kv = createClient(KV, transport);
    this.#lease = createClient(Lease, transport);
    this.#lock = createClient(Lock, transport);
    this.#maintenance = createClient(Maintenance, transport);
  }

  async put(key: string, value: Uint8Array, lease = 0n): Promise<bigint> {
    const { header } = await this.#kv.put({ key: b(key), value: Buffer.from(value), lease }, LIMIT);
    return header?.revision ?? 0n;
  }

  /** Writes so many MiB under `fill/`. */
  async fill(mib: number): Promise<void> {
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < mib) await this.put(`fill/${next++}`, new Uint8Array(2 ** 20));
    };
    await Promise.all(Array.from({ length: 8 }, writer));
  }

  /** A lease. */
  async grant(ttlSeconds: number): Promise<bigint> {
    const { ID } = await this.#lease.leaseGrant({ TTL: BigInt(ttlSeconds) }, LIMIT);
    return ID;
  }

  /** Whether a lease lives. */
  async lives(lease: bigint): Promise<boolean> {
    return (await this.#lease.leaseTimeToLive({ ID: lease }, LIMIT)).TTL > 0n;
  }

  /** Takes a lock and gives the key that unlocks it. */
  async lock(name: string, lease: bigint): Promise<Uint8Array> {
    return (await this.#lock.lock({ name: b(name), lease }, LIMIT)).key;
  }

  async unlock(key: Uint8Array): Promise<void> {
    await this.#lock.unlock({ key }, LIMIT);
  }

  /** All keys of a prefix. */
  async stored(prefix: string): Promise<Map<string, StoredKey>> {
    const found = new Map<string, StoredKey>();
    for (let key: Uint8Array = b(prefix); ; ) {
      const { kvs, more } = await this.#kv.range(
        { key, rangeEnd: endOf(prefix), limit: PAGE, keysOnly: true },
        LIMIT,
      );
      for (const { key: name, version, modRevision } of kvs)
        found.set(Buffer.from(name).toString(), { version, revision: modRevision });
      if (!more) return found;
      key = Buffer.concat([kvs.at(-1)?.key ?? new Uint8Array(), Buffer.of(0)]);
    }
  }

  /** Defragments the member itself; a large database takes seconds. */
  async defragment(): Promise<void> {
    await this.#maintenance.defragment({}, { timeoutMs: 300_000 });
  }
}
