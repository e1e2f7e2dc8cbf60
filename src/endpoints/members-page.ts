/** `GET <peerURL>/members`: what etcd's peer port tells of the cluster, the same in every release. */
import type { Endpoint } from '../net/endpoint.ts';
import type { TlsDialer } from '../upstream/dial.ts';
import { LookFailure } from './found-endpoints.ts';
import { httpGet, jsonOf } from './http-get.ts';
import { endpointsOf } from './urls.ts';

/** Where members are reached. */
export interface Membership {
  /** The id of their cluster, where the page says so, as etcd does in every release. */
  readonly cluster?: string | undefined;
  /** By other members. */
  readonly peers: readonly Endpoint[];
  /** By clients, as members that vote advertise it. */
  readonly clients: readonly Endpoint[];
}

/** The largest answer: a cluster of a hundred members has a tenth of it. */
const MAX_BYTES = 1 << 20;

/**
 * Asks a member.
 * @throws LookFailure also where no member has a URL for clients: none has started
 */
export async function askMembers(peer: Endpoint, tls: TlsDialer, signal: AbortSignal): Promise<Membership> {
  const page = { endpoint: peer, path: '/members' };
  const answer = await httpGet(page, { tls, signal, maxBytes: MAX_BYTES });
  if (answer.status !== 200) throw new LookFailure(`${peer.name}: status ${answer.status}`);
  const members = jsonOf(answer, page);
  if (!Array.isArray(members)) throw new LookFailure(`${peer.name}: the answer is no list of members`);
  const peers = endpointsOf(members.flatMap((member: unknown) => textsIn(member, 'peerURLs')));
  const voting = members.filter((member: unknown) => !isLearner(member));
  const clients = endpointsOf(voting.flatMap((member: unknown) => textsIn(member, 'clientURLs')));
  if (clients.length === 0) throw new LookFailure(`${peer.name}: no member has a URL for clients`);
  const cluster = answer.headers['x-etcd-cluster-id'];
  return { cluster: typeof cluster === 'string' ? cluster : undefined, peers, clients };
}

function isLearner(member: unknown): boolean {
  return (member as { readonly isLearner?: unknown } | null)?.isLearner === true;
}

/** The texts in a list in an object; none where it has no such list. */
export function textsIn(object: unknown, name: string): string[] {
  const list = (object as Readonly<Record<string, unknown>> | null)?.[name];
  return Array.isArray(list) ? list.filter((text) => typeof text === 'string') : [];
}
