/**
 * Seeds from a discovery service, with which the members of a cluster have found each other: waits until as many members
 * have registered as the cluster is to have. The first ones are the cluster; whoever came later fell back to a proxy.
 */
import type { Endpoint } from '../net/endpoint.ts';
import type { SourceObserver } from './found-endpoints.ts';
import { Looking } from './looking.ts';
import type { PeerSeeds, SeedsListener } from './peers.ts';
import { endpointsOf } from './urls.ts';

/** A member that has registered. */
export interface RegisteredMember {
  /** When, by the service's own count. */
  readonly created: number;
  /** `name=peerURL`, several of them with commas in between. */
  readonly value: string;
}

/** What the service knows of a cluster. */
export interface Registered {
  /** How many members it is to have. */
  readonly size: number;
  readonly members: readonly RegisteredMember[];
}

/** A discovery service, of whichever version. */
export interface DiscoveryService {
  /** The name of its flag, without dashes. */
  readonly name: string;
  /** @throws LookFailure */
  check(signal: AbortSignal): Promise<Registered>;
  /** Waits until something may have changed since the latest check. @throws LookFailure */
  changed(signal: AbortSignal): Promise<void>;
  /** Nothing is asked any more. May be called twice. */
  close(): void;
}

/** Milliseconds between two checks at least, whatever the service says. */
const INTERVAL_MS = 1000;

/** Milliseconds to the next check after failures: as in etcd, 2 s doubled up to 256 s. */
const RETRY = { first: 2000, longest: 256_000, shape: { factor: 2, jitter: 0.2 } };

/** The largest cluster that is waited for. */
export const MAX_SIZE = 1000;

export class Discovery implements PeerSeeds {
  readonly name: string;
  readonly #service: DiscoveryService;
  readonly #observer: SourceObserver;
  readonly #onFull: (() => void) | undefined;
  readonly #looking: Looking;
  #listener: SeedsListener | undefined;
  #waits = false;

  /** @param onFull is called instead of giving the members, once they are all there */
  constructor(service: DiscoveryService, observer: SourceObserver, onFull?: () => void) {
    this.#onFull = onFull;
    this.name = service.name;
    this.#service = service;
    this.#observer = observer;
    this.#looking = new Looking({
      name: this.name,
      look: (signal) => this.#look(signal),
      interval: INTERVAL_MS,
      retry: RETRY,
      observer,
    });
  }

  start(listener: SeedsListener): void {
    this.#listener = listener;
    this.#looking.start();
  }

  close(): void {
    this.#listener = undefined;
    this.#looking.close();
    this.#service.close();
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    let peers: readonly Endpoint[] | undefined;
    try {
      const waits = this.#waits;
      // After a wait that failed the members are asked for at once: who serves them may break off all that takes long.
      this.#waits = false;
      if (waits) await this.#service.changed(signal);
      peers = this.#complete(await this.#service.check(signal));
    } finally {
      if (peers === undefined) this.#listener?.onPending();
    }
    if (peers === undefined) return true;
    this.#service.close();
    if (this.#onFull !== undefined) this.#onFull();
    else this.#listener?.onPeers(peers);
    return false;
  }

  /** The members' peer URLs; undefined while some are missing. */
  #complete({ size, members }: Registered): readonly Endpoint[] | undefined {
    const usable = members
      .map(({ created, value }) => ({ created, peers: peersIn(value) }))
      .filter(({ peers }) => peers.length > 0)
      .sort((a, b) => a.created - b.created)
      .slice(0, size);
    this.#waits = usable.length < size;
    if (!this.#waits) return usable.flatMap(({ peers }) => peers);
    this.#observer.onWaiting(this.name, usable.length, size);
    return undefined;
  }
}

function peersIn(value: string): Endpoint[] {
  return endpointsOf(value.split(',').map((part) => part.trim().replace(/^[^=]*=/, '')));
}
