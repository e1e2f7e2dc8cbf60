/**
 * Whom etcd has refused a heartbeat. A refusal ends the stream that it came on, so who was refused does not share one
 * again: neither the connection, which may try other leases, nor the lease, which may be tried on other connections.
 */
import type { LeaseId } from '../etcd/lease-keep-alive.ts';
import { BoundedTable } from '../rpc/bounded-table.ts';
import { type Client, ITSELF } from '../rpc/client.ts';

/** Identities, and what their names and leases take. */
const TABLE = { entries: 10_000, bytes: 16 << 20 };

/** Leases of one identity; with more, those before are forgotten. */
const MAX_LEASES = 200;

/** What a lease takes, in bytes. */
const LEASE_BYTES = 48;

/** Of one identity. */
export class RefusedOnes {
  readonly #leases = new Set<string>();
  readonly #clients = new WeakSet<Client>();

  /** Whether a connection was refused. */
  hasClient(client: Client): boolean {
    return this.#clients.has(client);
  }

  /** Whether a lease was refused. */
  hasLease(lease: LeaseId): boolean {
    return this.#leases.has(nameOf(lease));
  }

  addClient(client: Client): void {
    if (client !== ITSELF) this.#clients.add(client);
  }

  /** @returns whether none had to be forgotten for it */
  addLease(lease: LeaseId): boolean {
    const hasRoom = this.#leases.size < MAX_LEASES;
    if (!hasRoom) this.#leases.clear();
    this.#leases.add(nameOf(lease));
    return hasRoom;
  }
}

/** Of all identities: those that were refused lately. */
export class Refused {
  readonly #identities = new BoundedTable<RefusedOnes>(TABLE);
  readonly #onFull: () => void;

  /** @param onFull is told that something had to be forgotten */
  constructor(onFull: () => void) {
    this.#onFull = onFull;
  }

  /** What is remembered of an identity. */
  of(identity: string): RefusedOnes | undefined {
    return this.#identities.get(identity);
  }

  /** A heartbeat was refused. @returns what is remembered of the identity now */
  add(identity: string, lease: LeaseId): RefusedOnes {
    const ones = this.of(identity) ?? this.#begin(identity);
    if (!ones.addLease(lease)) this.#onFull();
    return ones;
  }

  #begin(identity: string): RefusedOnes {
    const ones = new RefusedOnes();
    const { forgotten } = this.#identities;
    this.#identities.add(identity, ones, identity.length + MAX_LEASES * LEASE_BYTES);
    if (this.#identities.forgotten > forgotten) this.#onFull();
    return ones;
  }
}

function nameOf({ low, high }: LeaseId): string {
  return `${high}/${low}`;
}
