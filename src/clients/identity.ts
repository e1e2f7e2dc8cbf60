/**
 * Who asks, in two meanings. Nothing learned with one identity is shown to another, whichever of the two it is.
 *
 * The identity of a *call* is everything that it tells etcd ({@link callIdentityOf}). Calls share one answer, byte for
 * byte, only when all of that is the same: tokens above all, but also `hasleader`, which changes what etcd answers, and
 * whatever a later etcd may look at. Fields of tracing count too: a traced call keeps a span of its own.
 *
 * The identity of a *client* is only what decides what etcd lets it see, and how its watches end ({@link clientIdentityOf}).
 * Feeds and permissions belong to it: they live longer than any call, and a field of tracing must not cost a watch on
 * etcd. An answer may be remembered by the first, and needs the permission of the second.
 */
import { hash } from 'node:crypto';
import { Metadata, NO_METADATA } from '../rpc/metadata.ts';

/** Nobody's identity, of either kind. It is a JSON array, as all are that go by no digest. */
export const ANONYMOUS = '[]';

/** Those of calls. */
const known = new WeakMap<Metadata, string>();

/**
 * The identity of a call: a text that is the same for equal metadata and for nothing else; `undefined` where it would be
 * longer than `maxLength`, which is looked at before it is made. It is a JSON array, and no JSON array is the beginning
 * of another one: what follows it in a longer key cannot be taken for a part of it.
 */
export function callIdentityOf(metadata: Metadata, maxLength: number): string | undefined {
  if (metadata === NO_METADATA) return ANONYMOUS;
  let identity = known.get(metadata);
  if (identity === undefined) {
    let length = 0;
    for (const text of metadata.fields) length += text.length;
    if (length > maxLength) return undefined;
    identity = JSON.stringify(metadata.fields);
    known.set(metadata, identity);
  }
  return identity;
}

/** Who a client is to etcd. */
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

/** The fields that matter: the token under etcd's two names for it, and the wish for a leader. */
const FIELDS: ReadonlySet<string> = new Set(['token', 'authorization', 'hasleader']);

const NOBODY: Identity = {
  id: ANONYMOUS,
  bytes: 0,
  metadata: NO_METADATA,
  hasToken: false,
  hasLeader: false,
};

/** Longer ones go by a digest. */
const MAX_ID_LENGTH = 1024;

/** The identity of the client whose metadata these are. */
export function clientIdentityOf({ fields }: Metadata): Identity {
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
