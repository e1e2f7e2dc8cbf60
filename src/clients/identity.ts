/**
 * Who a client is to etcd, as far as its metadata decides what a watch sees and how it ends. Clients share feeds only
 * with clients of the same identity.
 */
import { hash } from 'node:crypto';
import { Metadata, NO_METADATA } from '../rpc/metadata.ts';

/** The fields that matter: the token under etcd's two names for it, and the wish for a leader. */
const FIELDS: ReadonlySet<string> = new Set(['token', 'authorization', 'hasleader']);

export interface Identity {
  /**
   * Equal for equal identities only, and never long, though tokens may be. It is not the beginning of another one: what
   * follows it in a longer key cannot be taken for a part of it.
   */
  readonly id: string;
  /** What its metadata takes, in bytes. */
  readonly bytes: number;
  readonly metadata: Metadata;
  /** Whether the client has shown a token: what it may read has to be asked then. */
  readonly hasToken: boolean;
  /** Whether the client wants its streams to end when the leader is lost. */
  readonly hasLeader: boolean;
}

const NOBODY: Identity = { id: '[]', bytes: 0, metadata: NO_METADATA, hasToken: false, hasLeader: false };

/** Longer ones go by a digest. */
const MAX_ID_LENGTH = 1024;

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
  const text = JSON.stringify(kept);
  // All digests are equally long, and none is found for two texts (SHA-256).
  const id = text.length > MAX_ID_LENGTH ? hash('sha256', text, 'base64') : text;
  return { id, bytes: text.length, metadata: new Metadata(kept), hasToken, hasLeader };
}
