/** Members that somebody wrote down, as seeds. */
import type { Endpoint } from '../net/endpoint.ts';
import type { PeerSeeds, SeedsListener } from './peers.ts';

export class InitialCluster implements PeerSeeds {
  readonly name = 'initial-cluster';
  readonly #peers: readonly Endpoint[];
  #closed = false;

  constructor(peers: readonly Endpoint[]) {
    this.#peers = peers;
  }

  start(listener: SeedsListener): void {
    queueMicrotask(() => {
      if (!this.#closed) listener.onPeers(this.#peers);
    });
  }

  close(): void {
    this.#closed = true;
  }
}
