/**
 * Who asks, in two meanings. Nothing learned with one identity is shown to another, whichever of the two it is.
 *
 * The identity of a *call* is everything that it tells etcd and that etcd's answer may depend on ({@link callIdentityOf}).
 * Calls share one answer, byte for byte, only when all of that is the same: tokens above all, but also `hasleader`, which
 * changes what etcd answers, and whatever a later etcd may look at. What only labels a call counts for nothing: see
 * `labels.ts`.
 *
 * The identity of a *client* is only what decides what etcd lets it see ({@link clientIdentityOf}). Feeds and permissions
 * belong to it. An answer may be remembered by the first, and needs the permission of the second. Whether a client
 * demands a leader is no part of it ({@link demandsLeader}): etcd looks at that when a call begins, so a question that
 * carries the demand ({@link demandingIdentityOf}) finds it out, and what is known lies in one place for all.
 */

import { hash } from 'node:crypto';
import { withOwnVersion } from '../etcd/own-metadata.ts';
import { TOKEN_FIELDS } from '../etcd/token.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import { withoutLabels } from './labels.ts';

/** Nobody's identity, of either kind. It is a JSON array, as all are that go by no digest. */
export const ANONYMOUS = '[]';

/** Those of calls. */
const known = new WeakMap<Metadata, string>();

/**
 * The identity of a call: a text that is the same for equal metadata, apart from labels, and for nothing else; `undefined`
 * where all metadata together are longer than `maxLength`, which is looked at before it is made. It is a JSON array, and
 * no JSON array is the beginning of another one: what follows it in a longer key cannot be taken for a part of it.
 */
export function callIdentityOf(metadata: Metadata, maxLength: number): string | undefined {
  if (metadata === NO_METADATA) return ANONYMOUS;
  let identity = known.get(metadata);
  if (identity === undefined) {
    let length = 0;
    for (const text of metadata.fields) length += text.length;
    if (length > maxLength) return undefined;
    identity = JSON.stringify(withoutLabels(metadata.fields));
    known.set(metadata, identity);
  }
  return identity;
}

/** What of a call tells who asks, and what else etcd's answer may depend on. */
export interface Reader {
  readonly identity: Identity;
  /** All metadata but tokens and labels: a JSON array. */
  readonly rest: string;
}

/** Those of calls with a token. */
const knownReaders = new WeakMap<Metadata, Reader>();

/** Who makes a call; undefined: it shows no token. */
export function readerOf(metadata: Metadata): Reader | undefined {
  if (metadata === NO_METADATA) return undefined;
  const known = knownReaders.get(metadata);
  if (known !== undefined) return known;
  const identity = clientIdentityOf(metadata);
  if (!identity.hasToken) return undefined;
  const kept: string[] = [];
  const fields = withoutLabels(metadata.fields);
  for (let i = 0; i < fields.length; i += 2)
    if (!TOKEN_FIELDS.has(fields[i] as string)) kept.push(fields[i] as string, fields[i + 1] as string);
  const reader = { identity, rest: JSON.stringify(kept) };
  knownReaders.set(metadata, reader);
  return reader;
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
  /** What the proxy's own calls carry on the client's behalf. */
  readonly metadata: Metadata;
  /** Whether the client has shown a token: what it may read has to be asked then. */
  readonly hasToken: boolean;
  /** The token that etcd looks at; empty where there is none, or more than one. */
  readonly token: string;
}

/** The demand for a leader, and its only value that etcd heeds. */
const DEMAND = 'hasleader';
const DEMANDED = 'true';

/** Longer ones go by a digest. */
const MAX_ID_LENGTH = 1024;

/** Who shows no token. */
export const TOKENLESS = identityOf([], false);
const DEMANDING_TOKENLESS = identityOf([DEMAND, DEMANDED], false);

/** The identity of the client whose metadata these are. */
export function clientIdentityOf({ fields }: Metadata): Identity {
  const tokens = tokensIn(fields);
  return tokens.length === 0 ? TOKENLESS : identityOf(tokens, true);
}

/** The same client, in questions that etcd refuses where its member knows no leader. */
export function demandingIdentityOf({ fields }: Metadata): Identity {
  const tokens = tokensIn(fields);
  return tokens.length === 0 ? DEMANDING_TOKENLESS : identityOf([...tokens, DEMAND, DEMANDED], true);
}

/** Whether a client shows a token, under either of its names. */
export function showsToken({ fields }: Metadata): boolean {
  return tokensIn(fields).length > 0;
}

/** Whether etcd refuses a call with these metadata while its member knows no leader: by the first value, as etcd does. */
export function demandsLeader(metadata: Metadata): boolean {
  return metadata.get(DEMAND) === DEMANDED;
}

function tokensIn(fields: readonly string[]): string[] {
  const tokens: string[] = [];
  for (let i = 0; i < fields.length; i += 2)
    if (TOKEN_FIELDS.has(fields[i] as string)) tokens.push(fields[i] as string, fields[i + 1] as string);
  return tokens;
}

function identityOf(fields: readonly string[], hasToken: boolean): Identity {
  const text = JSON.stringify(fields);
  // All digests are equally long, and none is found for two texts (SHA-256).
  const id = text.length > MAX_ID_LENGTH ? hash('sha256', text, 'base64') : text;
  const token = hasToken && isSole(fields) ? (fields[1] as string) : '';
  return { id, bytes: text.length, metadata: withOwnVersion(fields), hasToken, token };
}

/** Whether they are one token, perhaps with the demand for a leader behind it. */
function isSole(fields: readonly string[]): boolean {
  return fields.length === 2 || fields[2] === DEMAND;
}
