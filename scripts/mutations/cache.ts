/** Ways to break the cache of serializable reads. */
import { type Mutation, mutation } from './mutation.ts';

const CACHE = 'cache';

/** The mutations of `cache/`. */
export const CACHED: readonly Mutation[] = [
  mutation(
    'older-than-what-clients-saw',
    `${CACHE}/read-cache.ts`,
    "if (known < this.#seen.revision) return 'seen';",
    '',
  ),
  mutation(
    'a-feed-that-has-not-caught-up-will-do',
    `${CACHE}/read-cache.ts`,
    "if (known < syncPoint) return 'behind';",
    '',
  ),
  mutation(
    'a-permission-is-for-ever',
    `${CACHE}/read-cache.ts`,
    "return cover.mayRead(now, client) ? undefined : 'permission';",
    'return undefined;',
  ),
  mutation(
    'one-answer-for-all-identities',
    `${CACHE}/read-cache.ts`,
    'identity === ANONYMOUS ? bytes : identity + bytes;',
    'identity === ANONYMOUS ? bytes : bytes;',
  ),
  mutation(
    'headers-of-etcd-are-forgotten',
    `${CACHE}/read-cache.ts`,
    'if (call.responseHeaders !== NO_METADATA || call.responseTrailers !== NO_METADATA) return;',
    '',
  ),
  mutation(
    'an-older-answer-takes-the-place',
    `${CACHE}/read-cache.ts`,
    'if (old !== undefined && old.revision >= reply.header.revision) return;',
    '',
  ),
  mutation(
    'what-was-remembered-of-another-cluster',
    `${CACHE}/read-cache.ts`,
    'for (const cover of this.#covers.all()) this.#forget(cover, false);\n  }\n}',
    '}\n}',
  ),
  mutation(
    'reads-that-want-a-leader-are-remembered',
    `${CACHE}/read-cache.ts`,
    'this.#recent.again(key, now) && !demandsLeader(metadata);',
    "this.#recent.again(key, now) && metadata.get('x') === undefined;",
  ),
  mutation(
    'an-event-changes-nothing',
    `${CACHE}/cover.ts`,
    'if (entry.revision < last) this.#owner.onChanged(entry);',
    'if (entry.revision < last - 1e9) this.#owner.onChanged(entry);',
  ),
  mutation(
    'events-before-the-answer-are-forgotten',
    `${CACHE}/cover.ts`,
    'return revision >= this.#last && revision + 1 >= this.#from',
    'return revision + 1 >= this.#from',
  ),
  mutation(
    'events-before-the-cover-are-not-missed',
    `${CACHE}/cover.ts`,
    'revision + 1 >= this.#from && ',
    '',
  ),
  mutation(
    'a-past-that-a-backup-has-undone',
    `${CACHE}/cover.ts`,
    'if (undone || entry.revision > revision) this.#owner.onChanged(entry);',
    'if (undone && entry.revision < 0) this.#owner.onChanged(entry);',
  ),
  mutation(
    'no-bound-on-bytes',
    `${CACHE}/entry-store.ts`,
    'this.bytes += entry.bytes;\n    if (this.bytes > this.#limit) this.#makeRoom();',
    'this.bytes += entry.bytes;',
  ),
  mutation(
    'the-bound-on-feeds-is-not-kept',
    `${CACHE}/covers.ts`,
    '    return !this.#full;',
    '    return true;',
  ),
  mutation(
    'room-is-made-while-room-is-made',
    `${CACHE}/entry-store.ts`,
    'if (bytes > 0 && this.bytes > this.#limit)',
    'if (this.bytes > this.#limit)',
  ),
  mutation(
    'one-refusal-looks-at-all-covers',
    `${CACHE}/read-cache.ts`,
    '    if (!feeds.identity.hasToken)\n      for (const other',
    '      for (const other',
  ),
  mutation(
    'a-refusal-without-a-token-is-for-one-range',
    `${CACHE}/read-cache.ts`,
    'if (other.permission === permission) this.#forget(other, false);',
    'if (other === cover) this.#forget(other, false);',
  ),
];
