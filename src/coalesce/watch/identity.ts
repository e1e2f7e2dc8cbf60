/**
 * Who a client is to etcd, as far as its metadata decides what a watch sees and how it ends. Clients share feeds only
 * with clients of the same identity.
 */
import { Metadata, NO_METADATA } from '../../rpc/metadata.ts';

/** The fields that matter: the token under etcd's two names for it, and the wish for a leader. */
const FIELDS: ReadonlySet<string> = new Set(['token', 'authorization', 'hasleader']);

export interface Identity {
  /** Equal for equal identities. */
  readonly id: string;
  readonly metadata: Metadata;
  /** Whether the client has shown a token: what it may read has to be asked then. */
  readonly hasToken: boolean;
  /** Whether the client wants its streams to end when the leader is lost. */
  readonly hasLeader: boolean;
}

const NOBODY: Identity = { id: '', metadata: NO_METADATA, hasToken: false, hasLeader: false };

/** The identity in a call's metadata. */
export function identityOf({ fields }: Metadata): Identity {
  const kept: string[] = [];
  let hasToken = false;
  let hasLeader = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!FIELDS.has(name)) continue;
    kept.push(name, fields[i + 1] as string);
    if (name === 'hasleader') hasLeader ||= fields[i + 1] === 'true';
    else hasToken = true;
  }
  if (kept.length === 0) return NOBODY;
  return { id: JSON.stringify(kept), metadata: new Metadata(kept), hasToken, hasLeader };
}
