/**
 * START HERE. Heartbeats: N streams of clients that keep leases alive, few streams to etcd.
 *
 *   client stream ─ Heartbeats ┐                                   ┌ Carrier ─▶ etcd
 *   client stream ─ Heartbeats ┼─▶ Carriers (identity), by lease ──┤
 *   client stream ─ Heartbeats ┘                                   └ Carrier ─▶ etcd
 *
 * A client's stream is in `client-stream.ts`. One heartbeat goes to etcd for each that a client sends, or for several of one
 * lease that come before it is sent, and never without one: a lease must not outlive its client.
 *
 *   Carriers      the streams of one identity to etcd, and how many there are
 *     Carrier       one of them: what was sent, what waits
 *     Promptness    whether answers are late because heartbeats wait for each other; Ticker: its clock
 *   Share         what one connection may have on them: others must not wait long for it
 *   Refused       who does not share, since a refusal ends the stream for all that are on it
 */
import type { Identity } from '../clients/identity.ts';
import type { Upstream } from '../rpc/contract.ts';
import { Carriers, type SharedCarriers } from './carriers.ts';
import { Refused, type RefusedOnes } from './refused.ts';
import { LeaseStats } from './stats.ts';
import { Ticker } from './ticker.ts';

/** For how long streams to etcd stay that no client uses, in milliseconds, and of how many identities. */
const LINGER_MS = 5000;
const MAX_LINGERING = 100;

export class Leases implements SharedCarriers {
  readonly upstream: Upstream;
  readonly stats = new LeaseStats();
  readonly ticker = new Ticker();
  readonly refused = new Refused(() => this.stats.limits.refused++);
  readonly #carriers = new Map<string, Carriers>();
  /** Those that no client uses, the one that waits for longest first. */
  readonly #unused = new Map<Carriers, NodeJS.Timeout>();

  constructor(upstream: Upstream) {
    this.upstream = upstream;
  }

  /** Of how many identities there are carriers. */
  get size(): number {
    return this.#carriers.size;
  }

  /** The carriers of an identity, which a client's stream enters at once. Who is the same to etcd shares them; whoever learns of more that are, says so here. */
  of(identity: Identity): Carriers {
    let carriers = this.#carriers.get(identity.id);
    if (carriers === undefined) {
      carriers = new Carriers(this, identity);
      this.#carriers.set(identity.id, carriers);
    }
    return carriers;
  }

  /** Whom of an identity etcd has refused. It makes no carriers: they would be forgotten only once a client has used them. */
  refusedOf({ id }: Identity): RefusedOnes | undefined {
    return this.#carriers.get(id)?.refused ?? this.refused.of(id);
  }

  onUsed(carriers: Carriers): void {
    clearTimeout(this.#unused.get(carriers));
    this.#unused.delete(carriers);
  }

  onUnused(carriers: Carriers): void {
    this.#unused.set(carriers, setTimeout(() => this.#forget(carriers), LINGER_MS).unref());
    if (this.#unused.size <= MAX_LINGERING) return;
    this.stats.limits.lingering++;
    const [oldest] = this.#unused.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  /** Ends all streams to etcd. Those of clients are ended by the doors that they came through. */
  close(): void {
    this.ticker.stop();
    for (const timer of this.#unused.values()) clearTimeout(timer);
    this.#unused.clear();
    for (const carriers of this.#carriers.values()) carriers.close();
    this.#carriers.clear();
  }

  #forget(carriers: Carriers): void {
    this.onUsed(carriers);
    this.#carriers.delete(carriers.identity.id);
    carriers.retire();
  }
}
