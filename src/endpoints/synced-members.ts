/**
 * Endpoints from the cluster itself (`--endpoints-auto-sync-interval`): asks the etcd in use for its members, and takes the
 * URLs that they advertise to clients. Learners and members that have not started are left out.
 */
import { clusterInHex } from '../etcd/header.ts';
import { MEMBER_LIST, membersIn } from '../etcd/member-list.ts';
import { wantsToken } from '../etcd/words.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { RpcError } from '../rpc/status.ts';
import { type FoundEndpoints, LookFailure, type SourceObserver, sameEndpoints } from './found-endpoints.ts';
import { Looking } from './looking.ts';
import { endpointsOf } from './urls.ts';

/** Whom to ask, and how often. */
export interface SyncOptions {
  /** Calls `MemberList` at the etcd in use, as the proxy's own user where there is one. @throws RpcError */
  ask(request: Uint8Array): Promise<Uint8Array>;
  /** The id of the cluster that is meant, in hex; undefined while it is not known. */
  cluster(): string | undefined;
  /** Whether the proxy has a user to be while etcd's auth is on. */
  readonly hasUser: boolean;
  /** Milliseconds between two looks; a tenth of a second at least. */
  readonly interval: number;
  readonly observer: SourceObserver;
}

/** Milliseconds until a failed look is repeated, the first time. */
const FIRST_RETRY_MS = 1000;
/** More often would be a burden for etcd. Milliseconds. */
const SHORTEST_MS = 100;

export class SyncedMembers implements FoundEndpoints {
  readonly name = 'endpoints-auto-sync-interval';
  endpoints: readonly Endpoint[] = [];
  looked = false;
  readonly #options: SyncOptions;
  readonly #looking: Looking;
  #onChanged: () => void = () => {};

  constructor(options: SyncOptions) {
    const interval = Math.max(SHORTEST_MS, options.interval);
    this.#options = options;
    this.#looking = new Looking({
      name: this.name,
      look: (signal) => this.#look(signal),
      interval,
      retry: { first: Math.min(FIRST_RETRY_MS, interval), longest: interval },
      observer: options.observer,
    });
  }

  start(onChanged: () => void): void {
    this.#onChanged = onChanged;
    this.#looking.start();
  }

  close(): void {
    this.#looking.close();
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    try {
      const found = await this.#ask();
      if (signal.aborted) return false;
      const changed = !sameEndpoints(this.endpoints, found);
      this.endpoints = found;
      this.#options.observer.onFound(this.name, found, changed);
      if (changed) this.#onChanged();
      return true;
    } finally {
      this.looked = true;
    }
  }

  async #ask(): Promise<readonly Endpoint[]> {
    try {
      const reply = await this.#options.ask(MEMBER_LIST);
      // A member of another cluster may be in use for want of a better one: its list would lead away for good.
      const meant = this.#options.cluster();
      if (meant !== undefined && (clusterInHex(reply) ?? meant) !== meant)
        throw new LookFailure('the list is that of another cluster: not followed');
      const members = membersIn(reply);
      // To follow a list of proxies could lead back here, and away from etcd.
      if (members.some(({ hasId }) => !hasId))
        throw new LookFailure('the list is that of a proxy: not followed');
      const voting = members.filter(({ isLearner }) => !isLearner);
      const found = endpointsOf(voting.flatMap(({ clientUrls }) => clientUrls));
      if (found.length === 0) throw new LookFailure('no member has a URL for clients');
      return found;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const wantsUser = wantsToken(error) && !this.#options.hasUser;
      throw new LookFailure(wantsUser ? `${error.message}; etcd wants a user: --user-file` : error.message);
    }
  }
}
