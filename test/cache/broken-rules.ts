/** The cache's rules as they must not be. The proof must notice. */
import type { ReadCacheOptions } from '../../src/cache/read-cache.ts';
import type { SeenRevision } from '../../src/clients/seen-revision.ts';

/** What the cache believes that clients have seen. */
export type Belief = (seen: SeenRevision) => ReadCacheOptions['seen'];

/** Clients' knowledge does not count: answers may be older than what they were told. */
export const forgetful: Belief = () => ({ revision: 0, onReplaced: () => {} });

/** Headers name the revision that clients have seen, whether or not the feed has come that far. */
export const boastful: Belief = (seen) => {
  let asked = false;
  return {
    onReplaced: () => {},
    /** For each read the cache asks whether it may answer, and then, at once, what to say. */
    get revision() {
      if (asked) return seen.revision;
      asked = true;
      queueMicrotask(() => {
        asked = false;
      });
      return 0;
    },
  };
};
