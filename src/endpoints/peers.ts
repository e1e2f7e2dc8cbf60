/**
 * Endpoints from the members' peer ports: whoever of the known members answers first tells where all of them are for clients,
 * and for each other, so that the cluster may be replaced member by member.
 */
import type { Endpoint } from '../net/endpoint.ts';
import type { TlsDialer } from '../upstream/dial.ts';
import type { ClusterFile } from './cluster-file.ts';
import { type FoundEndpoints, LookFailure, type SourceObserver, sameEndpoints } from './found-endpoints.ts';
import { Looking } from './looking.ts';
import { askMembers, type Membership } from './members-page.ts';

/** Says once whom to ask first. */
export interface PeerSeeds {
  /** The name of the flag, without dashes. */
  readonly name: string;
  /** Begins to look. The listener is never called within this call. */
  start(listener: SeedsListener): void;
  close(): void;
}

/** Who wants seeds. */
export interface SeedsListener {
  /** These are members. Called once at most. */
  onPeers(peers: readonly Endpoint[]): void;
  /** They are not known yet. */
  onPending(): void;
}

/** Whom to ask, and how often. */
export interface PeersOptions {
  readonly seeds: PeerSeeds;
  /** Where the last good list is kept. */
  readonly file: ClusterFile;
  /** Milliseconds between two looks. */
  readonly interval: number;
  readonly tls: TlsDialer;
  readonly observer: SourceObserver;
}

/** How long members have for an answer. Milliseconds. */
const ANSWER_MS = 5000;
/** Milliseconds until a failed look is repeated, the first time: members may be about to start. */
const FIRST_RETRY_MS = 500;
/** Members that are asked at a time; etcd's documentation advises against more than seven. */
const MAX_ASKED = 50;

export class Peers implements FoundEndpoints {
  readonly name: string;
  endpoints: readonly Endpoint[] = [];
  looked = false;
  readonly #options: PeersOptions;
  readonly #looking: Looking;
  #onChanged: () => void = () => {};
  /** Whom to ask, the likeliest first: the next are asked when none of these answers. */
  #learned: readonly Endpoint[] = [];
  #seeded: readonly Endpoint[] = [];
  #kept: readonly Endpoint[] = [];
  /** The id of the cluster that was found, which others are told from by. */
  #cluster: string | undefined;
  #state: 'new' | 'seeking' | 'closed' = 'new';
  #isLooking = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.name = options.seeds.name;
    this.#looking = new Looking({
      name: this.name,
      look: (signal) => this.#look(signal),
      interval: options.interval,
      retry: { first: Math.min(FIRST_RETRY_MS, options.interval), longest: options.interval },
      observer: options.observer,
    });
  }

  start(onChanged: () => void): void {
    this.#onChanged = onChanged;
    const kept = this.#options.file.read();
    if (kept === undefined) {
      this.#seek();
      return;
    }
    this.#kept = kept.peers;
    this.endpoints = kept.clients;
    this.#begin();
  }

  close(): void {
    this.#state = 'closed';
    this.#options.seeds.close();
    this.#looking.close();
  }

  /** Has the seeds found, where what was kept does not lead to the cluster. */
  #seek(): void {
    if (this.#state !== 'new') return;
    this.#state = 'seeking';
    this.#options.seeds.start({
      onPeers: (peers) => {
        this.#seeded = peers;
        this.#begin();
      },
      onPending: () => this.#lookedOnce(),
    });
  }

  #begin(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#looking.start();
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    try {
      const membership = await this.#ask(signal);
      if (!signal.aborted) await this.#take(membership);
    } finally {
      if (!signal.aborted) this.#lookedOnce();
    }
    return true;
  }

  async #ask(signal: AbortSignal): Promise<Membership> {
    const stages = [this.#learned, this.#seeded, this.#kept].filter((peers) => peers.length > 0);
    let failure: unknown;
    for (const peers of stages) {
      try {
        return await askAny(peers, this.#cluster, this.#options.tls, signal);
      } catch (error) {
        if (!(error instanceof LookFailure) || signal.aborted) throw error;
        failure ??= error;
      }
    }
    this.#seek();
    throw failure;
  }

  async #take(membership: Membership): Promise<void> {
    const { peers, clients } = membership;
    const changed = !sameEndpoints(this.endpoints, clients);
    this.#cluster = membership.cluster;
    if (peers.length > 0) this.#learned = peers;
    this.endpoints = clients;
    this.#options.observer.onFound(this.name, clients, changed);
    this.looked = true;
    if (changed) this.#onChanged();
    await this.#options.file.write(membership);
  }

  #lookedOnce(): void {
    if (this.looked) return;
    this.looked = true;
    this.#onChanged();
  }
}

/**
 * What the first one says that answers well.
 * @param known the id of the cluster that is meant: what members of another one say counts when most of those asked belong to it
 * @throws LookFailure with the cause of one of them
 */
async function askAny(
  peers: readonly Endpoint[],
  known: string | undefined,
  tls: TlsDialer,
  signal: AbortSignal,
): Promise<Membership> {
  const asked = peers.slice(0, MAX_ASKED);
  const foreign: Membership[] = [];
  const done = new AbortController();
  const limit = AbortSignal.any([signal, done.signal, AbortSignal.timeout(ANSWER_MS)]);
  const ask = async (peer: Endpoint): Promise<Membership> => {
    const answer = await askMembers(peer, tls, limit);
    if ((answer.cluster ?? known) === (known ?? answer.cluster)) return answer;
    foreign.push(answer);
    throw new LookFailure(`${peer.name}: a member of another cluster`);
  };
  try {
    return await Promise.any(asked.map(ask));
  } catch (error) {
    if (!(error instanceof AggregateError)) throw error;
    const anew = foreign.find(({ cluster }) => votesFor(cluster, foreign) * 2 > asked.length);
    if (anew !== undefined) return anew;
    throw error.errors.find((each) => !(each instanceof LookFailure)) ?? error.errors[0];
  } finally {
    done.abort();
  }
}

function votesFor(id: string | undefined, answers: readonly Membership[]): number {
  return answers.filter(({ cluster }) => cluster === id).length;
}
