/** Connections to members, kept for the next request: those to each member by themselves. */
import { Agent } from 'node:http';
import type { Socket } from 'node:net';
import type { V2Member } from './options.ts';

/** Connections to one member that are kept while nobody needs them. */
const MAX_FREE = 16;

/** How long they are kept, in milliseconds. */
const IDLE_MS = 65_000;

class MemberAgent extends Agent {
  readonly #member: V2Member;

  constructor(member: V2Member) {
    super({ keepAlive: true, maxFreeSockets: MAX_FREE, timeout: IDLE_MS });
    this.#member = member;
  }

  override createConnection(): Socket {
    return this.#member.connect();
  }

  /** Keeps none any more; requests that are under way end as they will. */
  retire(): void {
    this.maxFreeSockets = 0;
    for (const sockets of Object.values(this.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }
}

export class MemberAgents {
  readonly #agents = new Map<string, MemberAgent>();

  /** The connections to a member. */
  of(member: V2Member): Agent {
    let agent = this.#agents.get(member.url);
    if (agent === undefined) {
      agent = new MemberAgent(member);
      this.#agents.set(member.url, agent);
    }
    return agent;
  }

  /** Lets go of those to members that are none any more. */
  keepOnly(members: readonly V2Member[]): void {
    const urls = new Set(members.map(({ url }) => url));
    for (const [url, agent] of this.#agents) {
      if (urls.has(url)) continue;
      agent.retire();
      this.#agents.delete(url);
    }
  }

  /** Closes all of them at once. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}
