/** The parts of the program that are broken to see whether their tests notice, and those tests. */
import { CACHED } from './cache.ts';
import { FOUND } from './endpoints.ts';
import { SHARED } from './flights.ts';
import { HEARTBEATS } from './lease.ts';
import { MEMBERS } from './members.ts';
import { MIRRORED } from './mirror.ts';
import type { Mutation } from './mutation.ts';
import { WITHIN } from './namespace.ts';
import { SHARING } from './sharing.ts';
import { WATCH } from './watch.ts';

/** A part, the ways to break it, and its tests. */
export interface Part {
  readonly mutations: readonly Mutation[];
  /** Its test files, in the order in which they are tried: the quick ones first. */
  readonly tests: readonly string[];
}

const below = (folder: string, ...names: string[]): string[] => names.map((name) => `${folder}/${name}`);

/** All parts, by the name that `npm run mutate` takes. */
export const PARTS: Readonly<
  Record<
    'watch' | 'sharing' | 'lease' | 'cache' | 'mirror' | 'flights' | 'namespace' | 'members' | 'endpoints',
    Part
  >
> = {
  watch: {
    mutations: WATCH,
    tests: [
      'etcd/release',
      ...below('watch', 'interval-tree', 'batch', 'history', 'fragments', 'feed-parts', 'requests', 'turns'),
      ...below(
        'watch',
        'client-output',
        'gap',
        'probe',
        'subscribers',
        'progress-interval',
        'progress-questions',
        'progress-told',
        'stream-questions',
        'missed',
        'pasts',
        'pasts-visits',
        'limits',
      ),
      ...below(
        'watch',
        'response-assembly',
        'slices-bytes',
        'slices',
        'leader-detector',
        'shared-streams',
        'rides',
      ),
      ...below(
        'watch',
        'beginnings',
        'start',
        'metrics',
        'lifetimes',
        'progress',
        'incumbent',
        'compaction',
        'identities',
      ),
      ...below('watch', 'revoked', 'leader', 'reauthentication', 'protocols', 'scale', 'model'),
      'observe/every-series',
    ],
  },
  sharing: {
    mutations: SHARING,
    tests: [
      'cache/shared',
      ...below(
        'identity',
        'permit',
        'permits',
        'stores',
        'token-users',
        'leave',
        'shared-answers',
        'shared-watches',
      ),
    ],
  },
  lease: {
    mutations: HEARTBEATS,
    tests: [
      ...below(
        'lease',
        'moving',
        'parts',
        'streams',
        'sharing',
        'odd',
        'lost',
        'leader',
        'follower',
        'refused',
        'users',
        'clientv3',
      ),
      'observe/every-series',
    ],
  },
  cache: {
    mutations: CACHED,
    tests: [
      'identity/permission',
      'etcd/range-request',
      ...below('cache', 'entry-store', 'auth-changes', 'fills', 'told', 'bounds', 'set-back'),
      ...below('cache', 'incumbent-defects', 'permissions', 'refusals', 'schedules'),
    ],
  },
  mirror: {
    mutations: MIRRORED,
    tests: [
      'mirror/batch-intake',
      'mvcc/store',
      'mvcc/work',
      ...below('mirror', 'prefixes', 'hot-replies', 'long-reads', 'fall-backs', 'login', 'waiting'),
      ...below('mirror', 'txn', 'renewal', 'identity', 'lifecycle', 'probe-rule', 'watches', 'leader'),
      'mirror/long-reads-served',
      ...below('mirror', 'differential', 'schedules'),
    ],
  },
  flights: {
    mutations: SHARED,
    tests: [
      ...below('identity', 'identity', 'labels'),
      ...below('reads', 'flights', 'stream-flights', 'schedules', 'identity', 'seen-revision'),
      ...below('reads', 'sharing', 'stream-sharing', 'joining-rule', 'under-fire'),
    ],
  },
  namespace: {
    mutations: WITHIN,
    tests: [
      'etcd/lease-places',
      ...below('namespace', 'rewriting', 'turns', 'isolation', 'watch', 'edges', 'outside', 'several'),
      ...below('namespace', 'roles-locks', 'doors', 'clientv3', 'differential'),
      'observe/every-series',
    ],
  },
  members: {
    mutations: MEMBERS,
    tests: below('members', 'told', 'registration', 'trouble', 'clientv3'),
  },
  endpoints: {
    mutations: FOUND,
    tests: below('endpoints', 'flags', 'known', 'srv', 'discovery-v2', 'peers', 'members'),
  },
};
