/**
 * Who asks. Nothing learned with one identity is shown to another, so calls may share an answer only when all the
 * metadata that reaches etcd is the same: tokens above all, but also `hasleader`, which changes what etcd answers,
 * and whatever a later etcd may look at. Fields of tracing count too: a traced call keeps a span of its own.
 */
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';

/** The identity of a client that sends no metadata. */
export const ANONYMOUS = '[]';

const known = new WeakMap<Metadata, string>();

/**
 * A text that is the same for equal metadata and for nothing else; `undefined` where it would be longer than
 * `maxLength`, which is looked at before it is made. It is a JSON array, and no JSON array is the beginning of another
 * one: what follows it in a longer key cannot be taken for a part of it.
 */
export function identityOf(metadata: Metadata, maxLength: number): string | undefined {
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
