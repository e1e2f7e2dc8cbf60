/** Ways to break the watch hub, each a slip that somebody could make. `scripts/mutate-watches.ts` tries them. */

export interface Mutation {
  readonly name: string;
  /** Below `src`. */
  readonly file: string;
  /** The code, which must be there exactly once, and what it becomes. */
  readonly from: string;
  readonly to: string;
}

const HUB = 'coalesce/watch';

const mutation = (name: string, file: string, from: string, to: string): Mutation => ({
  name,
  file,
  from,
  to,
});

export const MUTATIONS: readonly Mutation[] = [
  mutation(
    'applied-by-header',
    `${HUB}/feed.ts`,
    'this.applied = batch.revision;',
    'this.applied = batch.header.revision;',
  ),
  mutation(
    'resume-skips-one',
    `${HUB}/feed.ts`,
    'this.#watch?.cancel();\n      this.#watchFrom(this.applied + 1);',
    'this.#watch?.cancel();\n      this.#watchFrom(this.applied + 2);',
  ),
  mutation(
    'what-was-missed-is-not-looked-for',
    `${HUB}/feed.ts`,
    'if (this.#fromNow && this.header.revision > this.applied) {',
    'if (this.#fromNow && this.header.revision > this.applied + 1e9) {',
  ),
  mutation(
    'applied-events-again',
    `${HUB}/batch.ts`,
    'if (event.revision <= applied) continue;',
    'if (event.revision <= applied - 1e9) continue;',
  ),
  mutation(
    'switch-over-skips-one',
    `${HUB}/cursors.ts`,
    'watcher.next = Math.max(watcher.next, this.#feed.applied + 1);\n    }',
    'watcher.next = Math.max(watcher.next, this.#feed.applied + 2);\n    }',
  ),
  mutation(
    'switch-over-repeats-one',
    `${HUB}/cursors.ts`,
    'watcher.next = Math.max(watcher.next, this.#feed.applied + 1);\n    }',
    'watcher.next = this.#feed.applied;\n    }',
  ),
  mutation(
    'floor-too-low',
    `${HUB}/history.ts`,
    'this.floor = batch.revision + 1;',
    'this.floor = batch.revision;',
  ),
  mutation(
    'history-skips-one',
    `${HUB}/history.ts`,
    '.revision < revision) low',
    '.revision <= revision) low',
  ),
  mutation(
    'batch-dropped-when-blocked',
    `${HUB}/cursors.ts`,
    'watcher.next = Math.max(watcher.next, applied + 1);\n          this.#lag',
    'watcher.next = Math.max(applied, batch.revision) + 1;\n          this.#lag',
  ),
  mutation(
    'early-for-future-watchers',
    `${HUB}/cursors.ts`,
    'if (batch.revision < watcher.next) continue;',
    '',
  ),
  mutation(
    'delivered-again',
    `${HUB}/delivery.ts`,
    'watcher.next = batch.revision + 1;\n    watcher.quiet',
    'watcher.next = batch.revision;\n    watcher.quiet',
  ),
  mutation(
    'compaction-takes-one-more',
    `${HUB}/cursors.ts`,
    'watcher.next < terminal.revision',
    'watcher.next <= terminal.revision',
  ),
  mutation(
    'compaction-forgotten',
    `${HUB}/revision-probe.ts`,
    'doubtful = error.message.includes(COMPACTED);',
    'doubtful = error.message.includes(COMPACTED) && false;',
  ),
  mutation(
    'filters-swapped',
    `${HUB}/audience.ts`,
    'event.isDelete ? this.#noDelete : this.#noPut',
    'event.isDelete ? this.#noPut : this.#noDelete',
  ),
  mutation('prev-kv-leaks', `${HUB}/audience.ts`, '(stripPrev ? 4 : 0)', '(stripPrev ? 0 : 0)'),
  mutation('prev-kv-from-any-feed', `${HUB}/identity-feeds.ts`, 'if (prevKv && !feed.prevKv) continue;', ''),
  mutation(
    'header-goes-back',
    `${HUB}/delivery.ts`,
    'watcher.next <= batch.first && batch.header.revision >= watcher.seenRevision',
    'watcher.next <= batch.first',
  ),
  mutation('cancelled-still-delivered', 'services/watch.ts', 'this.feeds.remove(watcher);', ''),
  mutation('progress-of-laggards', `${HUB}/cursors.ts`, 'watcher.synced &&\n', 'true &&\n'),
  mutation('never-flows-again', `${HUB}/feed.ts`, 'else this.#watch?.resume();', ''),
  mutation(
    'fragments-lost',
    `${HUB}/upstream-watch.ts`,
    'const events = this.#parts.concat(response.events);\n    this.#parts',
    'const events = response.events;\n    this.#parts',
  ),
  mutation(
    'lingering-feed-dies-in-use',
    `${HUB}/cursors.ts`,
    'if (this.size === 0) this.#feed.context.used(this.#feed);',
    '',
  ),
  mutation(
    'left-feed-stays',
    `${HUB}/identity-feeds.ts`,
    '    if (feed !== undefined && !feed.used) this.unused(feed);\n',
    '',
  ),
  mutation(
    'one-probe-for-all-ranges',
    `${HUB}/identity-feeds.ts`,
    "const key = this.identity.hasToken ? range.id : '';",
    "const key = '';",
  ),
  mutation(
    'a-probe-for-each-range',
    `${HUB}/identity-feeds.ts`,
    "const key = this.identity.hasToken ? range.id : '';",
    'const key = range.id;',
  ),
  mutation(
    'identities-mixed',
    `${HUB}/identity.ts`,
    "new Set(['token', 'authorization', 'hasleader'])",
    "new Set(['authorization', 'hasleader'])",
  ),
  mutation(
    'joins-a-sent-probe',
    `${HUB}/revision-probe.ts`,
    'const result = await this.#probe(least);\n      for (const asker of askers)',
    'const result = await this.#probe(least);\n      for (const asker of askers.concat(this.#gathering.splice(0)))',
  ),
];
