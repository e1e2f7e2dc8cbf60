/** Ways to break mirrored prefixes. */
import { type Mutation, mutation } from './mutation.ts';

const MIRROR = 'mirror';

/** The mutations of `mirror/`. */
export const MIRRORED: readonly Mutation[] = [
  mutation(
    'a-linearizable-read-at-once',
    `${MIRROR}/mirrored-reads.ts`,
    'if (!mayLag(query)) return wait((read) => access.revision(read));',
    '',
  ),
  mutation(
    'a-read-of-who-may-not',
    `${MIRROR}/mirrored-reads.ts`,
    'if (demands || !access.allowed) return wait((read) => access.permission(read));',
    '',
  ),
  mutation(
    'a-leader-demanded-in-vain',
    `${MIRROR}/mirrored-reads.ts`,
    'if (demands || !access.allowed)',
    'if (!access.allowed)',
  ),
  mutation(
    'older-than-what-clients-saw',
    `${MIRROR}/mirrored-reads.ts`,
    'if (store.applied < this.#seen.revision) return wait((read) => arrive(read, this.#seen.revision));',
    '',
  ),
  mutation(
    'a-watch-that-has-not-caught-up-will-do',
    `${MIRROR}/mirrored-reads.ts`,
    "if (!mirror.inSync) return this.#pass('resuming', request, call);",
    '',
  ),
  mutation(
    'answers-before-it-is-there',
    `${MIRROR}/mirrored-reads.ts`,
    'if (store.applied >= revision) this.#waiting.answer(read);',
    'if (store.applied >= 0) this.#waiting.answer(read);',
  ),
  mutation(
    'another-cluster-will-do',
    `${MIRROR}/mirrored-reads.ts`,
    'header.cluster !== mirror.cluster',
    "header.cluster === ''",
  ),
  mutation(
    'a-past-that-was-compacted',
    `${MIRROR}/mirrored-reads.ts`,
    'maybeCompacted && query.revision !== 0',
    'maybeCompacted && query.revision < 0',
  ),
  mutation(
    'transactions-of-tokens',
    `${MIRROR}/mirrored-reads.ts`,
    "if (query instanceof TxnQuery && identity.hasToken) return this.#pass('token', request, call);",
    '',
  ),
  mutation(
    'keys-of-other-prefixes',
    `${MIRROR}/batch-intake.ts`,
    'event.revision <= store.applied || !range.contains(event.key)',
    'event.revision <= store.applied',
  ),
  mutation(
    'deletes-are-forgotten',
    `${MIRROR}/batch-intake.ts`,
    'if (event.isDelete) store.delete(event.key, event.revision);',
    'if (event.isDelete) continue;',
  ),
  mutation(
    'no-bound-on-bytes',
    `${MIRROR}/mirror.ts`,
    'if (store.bytes > this.#options.bytes) {',
    'if (store.bytes < 0) {',
  ),
  mutation(
    'the-snapshot-and-the-watch-leave-a-gap',
    `${MIRROR}/mirror.ts`,
    'feeds.subscribe(this.range, true, store.applied + 1, this);\n    this.#subscription = subscription;',
    'feeds.subscribe(this.range, true, store.applied + 2, this);\n    this.#subscription = subscription;',
  ),
  mutation(
    'waits-for-one-revision-less',
    `${MIRROR}/arrivals.ts`,
    'this.#waiting.take(applied)',
    'this.#waiting.take(applied + 1)',
  ),
  mutation(
    'fall-backs-without-a-bound',
    `${MIRROR}/fall-backs.ts`,
    'if (this.#running < this.#limits.max)',
    'if (this.#running >= 0)',
  ),
  mutation(
    'a-hot-reply-of-the-past',
    `${MIRROR}/hot-replies.ts`,
    'hot.revision < revision && !store.changedSince(start, end, hot.revision)',
    'hot.revision < revision',
  ),
];
