/** Ways to break the watch hub, each a slip that somebody could make. `scripts/mutate-watches.ts` tries them. */

export interface Mutation {
  readonly name: string;
  /** Below `src`. */
  readonly file: string;
  /** The code, which must be there exactly once, and what it becomes. */
  readonly from: string;
  readonly to: string;
}

const HUB = 'watch';
const CLIENTS = 'clients';

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
    `${HUB}/feed-stream.ts`,
    'this.#watch?.cancel();\n      this.#watchFrom(applied + 1);',
    'this.#watch?.cancel();\n      this.#watchFrom(applied + 2);',
  ),
  mutation(
    'what-was-missed-is-not-looked-for',
    `${HUB}/feed-stream.ts`,
    'if (this.#fromNow && this.#revision > applied) {',
    'if (this.#fromNow && this.#revision > applied + 1e9) {',
  ),
  mutation(
    'applied-events-again',
    `${HUB}/batch.ts`,
    'if (event.revision <= applied) continue;',
    'if (event.revision <= applied - 1e9) continue;',
  ),
  mutation(
    'switch-over-skips-one',
    `${HUB}/watcher.ts`,
    'this.#unsent = Math.max(this.#unsent, (this.#feed?.applied ?? 0) + 1);',
    'this.#unsent = Math.max(this.#unsent, (this.#feed?.applied ?? 0) + 2);',
  ),
  mutation(
    'switch-over-repeats-one',
    `${HUB}/watcher.ts`,
    'this.#unsent = Math.max(this.#unsent, (this.#feed?.applied ?? 0) + 1);',
    'this.#unsent = this.#feed?.applied ?? 0;',
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
    'this.#unsync(watcher);\n          this.#lag',
    'this.#unsync(watcher);\n          watcher.pass(batch);\n          this.#lag',
  ),
  mutation('early-for-future-watchers', `${HUB}/cursors.ts`, 'if (watcher.isBeyond(batch)) continue;', ''),
  mutation(
    'delivered-again',
    `${HUB}/watcher.ts`,
    'this.#unsent = batch.revision + 1;\n    this.#quiet',
    'this.#unsent = batch.revision;\n    this.#quiet',
  ),
  mutation(
    'compaction-takes-one-more',
    `${HUB}/cursors.ts`,
    'watcher.next < terminal.revision',
    'watcher.next <= terminal.revision',
  ),
  mutation(
    'compaction-forgotten',
    `${CLIENTS}/probe.ts`,
    'maybeCompacted = error.message.includes(COMPACTED);',
    'maybeCompacted = error.message.includes(COMPACTED) && false;',
  ),
  mutation(
    'filters-swapped',
    `${HUB}/audience.ts`,
    'event.isDelete ? this.#noDelete : this.#noPut',
    'event.isDelete ? this.#noPut : this.#noDelete',
  ),
  mutation('prev-kv-leaks', `${HUB}/audience.ts`, '(stripPrev ? 4 : 0)', '(stripPrev ? 0 : 0)'),
  mutation(
    'prev-kv-from-any-feed',
    `${HUB}/feed-table.ts`,
    '?? []) if (feed.prevKv || !prevKv) yield feed;',
    '?? []) yield feed;',
  ),
  mutation(
    'header-goes-back',
    `${HUB}/watcher.ts`,
    'this.#unsent > batch.first || header.revision < this.#seenRevision',
    'this.#unsent > batch.first',
  ),
  mutation('cancelled-still-delivered', 'watch/client-stream.ts', 'watcher.feed?.leave(watcher);', ''),
  mutation('progress-of-laggards', `${HUB}/watcher.ts`, 'this.#synced && !this.sink', '!this.sink'),
  mutation('never-flows-again', `${HUB}/flow.ts`, 'else if (this.#stream.parked) this.#stream.unpark();', ''),
  mutation('never-given-up', `${HUB}/flow.ts`, 'this.#stream.park();', ''),
  mutation(
    'fragments-lost',
    `${HUB}/upstream-watch.ts`,
    'const events = this.#parts.concat(response.events);\n    this.#parts',
    'const events = response.events;\n    this.#parts',
  ),
  mutation(
    'lingering-feed-dies-in-use',
    `${HUB}/feed.ts`,
    'if (this.cursors.size === 0) this.#owner.onUsed(this);',
    '',
  ),
  mutation(
    'left-feed-stays',
    `${HUB}/feed-placement.ts`,
    '      this.place(watcher, header);\n    }\n    if (!feed.used) this.onUnused(feed);\n',
    '      this.place(watcher, header);\n    }\n',
  ),
  mutation(
    'one-probe-for-all-ranges',
    `${CLIENTS}/probes.ts`,
    'const key = identity.hasToken ? identity.id + asked.id : identity.id;',
    'const key = identity.id;',
  ),
  mutation(
    'a-probe-for-each-range',
    `${CLIENTS}/probes.ts`,
    'const key = identity.hasToken ? identity.id + asked.id : identity.id;',
    'const key = identity.id + range.start;',
  ),
  mutation(
    'identities-mixed',
    `${CLIENTS}/identity.ts`,
    "new Set(['token', 'authorization', 'hasleader'])",
    "new Set(['authorization', 'hasleader'])",
  ),
  mutation(
    'joins-a-sent-probe',
    `${CLIENTS}/probe.ts`,
    'const result = await this.#probe(least);\n      for (const asker of askers)',
    'const result = await this.#probe(least);\n      for (const asker of askers.concat(this.#gathering.splice(0)))',
  ),
  mutation(
    'a-past-that-was-undone',
    `${HUB}/known-store.ts`,
    'return hasStream || applied <= header.revision;',
    'return true;',
  ),
  mutation(
    'the-past-of-another-cluster',
    `${HUB}/known-store.ts`,
    'this.header.cluster !== header.cluster)\n      return false;',
    'this.header.cluster !== header.cluster)\n      return true;',
  ),
  mutation(
    'never-in-doubt',
    `${HUB}/known-store.ts`,
    'const isBehind = this.header.revision < applied;',
    'const isBehind = this.header.revision < applied - 1e9;',
  ),
  mutation(
    'moves-to-a-feed-without-a-stream',
    `${HUB}/cursors.ts`,
    "if (target.state !== 'live' || target.header.cluster !== header.cluster) return;",
    'if (target.header.cluster !== header.cluster) return;',
  ),
  mutation(
    'progress-beyond-etcd',
    `${HUB}/feed.ts`,
    'return Math.min(this.applied, this.header.revision);',
    'return this.applied;',
  ),
  mutation(
    'any-answer-will-do',
    `${HUB}/progress-questions.ts`,
    'this.#release(({ revision }) => revision <= announced);',
    'this.#release(({ revision }) => announced > 0 || revision < 0);',
  ),
  mutation(
    'unsafe-progress-asked-for',
    `${HUB}/progress-questions.ts`,
    'else if (!this.isSafe) this.#stop();\n',
    '',
  ),
  mutation('catch-ups-beyond-the-bound', `${HUB}/history.ts`, 'shrink(kept, goal / 2)', 'shrink(kept, 1e12)'),
  mutation(
    'tails-are-kept',
    `${HUB}/audience.ts`,
    'if (this.#last === undefined) releaseSoon(this);',
    'if (this.#last === batch) releaseSoon(this);',
  ),
  mutation(
    'a-refusal-is-final',
    `${HUB}/cursors.ts`,
    'watcher.sink.fail(Code.UNAVAILABLE, refusal',
    'watcher.sink.fail(Code.PERMISSION_DENIED, refusal',
  ),
  mutation(
    'created-not-answered',
    'watch/client-stream.ts',
    'this.#reply({ header, id, created: true });',
    '',
  ),
  mutation(
    'cancel-not-answered',
    'watch/client-stream.ts',
    'this.#reply({ header: withRevision(known, revision), id, canceled: true });',
    'if (revision < 0) this.#reply({ header: known, id, canceled: true });',
  ),
  mutation(
    'nobody-is-evicted',
    `${HUB}/feed-placement.ts`,
    'stats.catchUps >= MAX_LAGGING_CATCH_UPS',
    'stats.catchUps >= MAX_LAGGING_CATCH_UPS * 1e9',
  ),
  mutation(
    'fragments-not-cut',
    'watch/client-stream.ts',
    'length >= fragments.bytes)',
    'length >= fragments.bytes * 1e9)',
  ),
  mutation(
    'leader-forgotten',
    `${HUB}/identity-feeds.ts`,
    'if (this.identity.hasLeader) this.#leader.add(sink);',
    '',
  ),
  mutation(
    'all-begin-at-once',
    `${HUB}/turns.ts`,
    'if (this.#taken.size >= this.#limit) {',
    'if (this.#taken.size >= this.#limit * 1e9) {',
  ),
  mutation('shared-watchers-miscounted', 'observe/watch-metrics.ts', 'cursors.size - 1', 'cursors.size'),
  mutation(
    'asks-only-about-what-is-applied',
    `${HUB}/feed-placement.ts`,
    'if (feed.serves(start)) return true;',
    'if (feed.serves(start) && start <= feed.applied) return true;',
  ),
  mutation(
    'fails-for-ever',
    `${HUB}/feed-stream.ts`,
    '++this.#failures === MAX_FAILURES',
    '++this.#failures === MAX_FAILURES * 1e9',
  ),
];
