/**
 * Conditions on the state of a key (RFC 9110 section 13). A key's entity tag is the revision of its last change, so that a
 * condition is a comparison that etcd makes in the transaction of the change.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Compare_CompareResult, Compare_CompareTarget, type CompareSchema } from '#gen/etcdserverpb/kv_pb.js';
import { badRequest, positive } from './query.ts';

/** The most tags in a condition: each is a comparison, or a question to etcd. */
const MAX_TAGS = 64;

/** The most elements of its list: there may be empty ones. */
const MAX_ELEMENTS = 1000;

/** One entity tag in a list. */
const TAG = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|$)/y;

/** What the tag of a value has behind its revision where it is the tag of another form of it. */
const FORMS = /\+(?:json|keys)$/;

/** A comparison of etcd's. */
export type CompareInit = MessageInitShape<typeof CompareSchema>;

interface Tag {
  readonly weak: boolean;
  readonly text: string;
}

/** The tags of a condition, or any state. */
type Tags = '*' | readonly Tag[];

/** The entity tag of a key whose last change was that, in one of its forms. */
export function tagOf(revision: bigint, form: '' | '+json' | '+keys' = ''): string {
  return `"${revision}${form}"`;
}

/** What a request says the state of its key has to be. */
export class Conditions {
  readonly #match: Tags | undefined;
  readonly #noneMatch: Tags | undefined;

  /** @throws RpcError for a condition that is none */
  constructor(headers: IncomingHttpHeaders) {
    this.#match = tagsOf('If-Match', headers['if-match']);
    this.#noneMatch = tagsOf('If-None-Match', headers['if-none-match']);
  }

  /** Whether there is none. */
  get none(): boolean {
    return this.#match === undefined && this.#noneMatch === undefined;
  }

  /** Whether the key must not be there. */
  get absent(): boolean {
    return this.#noneMatch === '*';
  }

  /** What becomes of a read of this state: its tag, or undefined where the key is not there. */
  ofRead(tag: string | undefined): 'read' | 'unchanged' | 'mismatch' {
    if (this.#match !== undefined && !holds(this.#match, tag, false)) return 'mismatch';
    return this.#noneMatch !== undefined && holds(this.#noneMatch, tag, true) ? 'unchanged' : 'read';
  }

  /**
   * Revisions one of which the key has to be at; undefined: that is no condition. Weak tags name none, since they do not say
   * that the value is the same byte by byte.
   */
  get revisions(): readonly bigint[] | undefined {
    if (this.#match === undefined || this.#match === '*') return undefined;
    return [...new Set(this.#match.filter(({ weak }) => !weak).flatMap(({ text }) => revisionOf(text)))];
  }

  /** The comparisons that have to hold. @param revision the one of {@link revisions} that the key has to be at, if they are any */
  comparisons(key: Uint8Array, revision: bigint | undefined): CompareInit[] {
    const all: CompareInit[] = [];
    const { EQUAL, NOT_EQUAL, GREATER } = Compare_CompareResult;
    if (revision !== undefined) all.push(lastChange(key, EQUAL, revision));
    if (this.#match === '*') all.push(versions(key, GREATER));
    if (this.#noneMatch === '*') all.push(versions(key, EQUAL));
    else
      for (const { text } of this.#noneMatch ?? [])
        for (const other of revisionOf(text)) all.push(lastChange(key, NOT_EQUAL, other));
    return all;
  }
}

function lastChange(key: Uint8Array, result: Compare_CompareResult, revision: bigint): CompareInit {
  const targetUnion = { case: 'modRevision', value: revision } as const;
  return { key, result, target: Compare_CompareTarget.MOD, targetUnion };
}

/** A key that is not there has had none. */
function versions(key: Uint8Array, result: Compare_CompareResult): CompareInit {
  return { key, result, target: Compare_CompareTarget.VERSION, targetUnion: { case: 'version', value: 0n } };
}

/** The revision that a tag names; none when it is no tag of ours. */
function revisionOf(text: string): bigint[] {
  const digits = text.replace(FORMS, '');
  const revision = positive(digits);
  return revision === undefined || String(revision) !== digits ? [] : [revision];
}

function holds(tags: Tags, tag: string | undefined, weakly: boolean): boolean {
  if (tag === undefined) return false;
  return tags === '*' || tags.some(({ weak, text }) => (weakly || !weak) && `"${text}"` === tag);
}

function tagsOf(name: string, value: string | undefined): Tags | undefined {
  if (value === undefined) return undefined;
  if (value.trim() === '*') return '*';
  const tags: Tag[] = [];
  TAG.lastIndex = 0;
  for (let elements = 1; TAG.lastIndex < value.length; elements++) {
    const [, weak, text] = TAG.exec(value) ?? badTags(name);
    if (text !== undefined) tags.push({ weak: weak !== undefined, text });
    if (tags.length > MAX_TAGS || elements > MAX_ELEMENTS)
      throw badRequest(`${name} has more than ${MAX_TAGS} entity tags`);
  }
  if (tags.length === 0) badTags(name);
  return tags;
}

function badTags(name: string): never {
  throw badRequest(`${name} is * or entity tags in quotes, as in ${name}: "5"`);
}
