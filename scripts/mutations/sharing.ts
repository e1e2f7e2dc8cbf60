/** Ways to break the leave by which watches ride on feeds that others share. */
import { type Mutation, mutation } from './mutation.ts';

const SHARING_ROOM = 'watch/sharing';
const PERMIT = `${SHARING_ROOM}/permit.ts`;

/** The mutations of `watch/sharing/`, and of what it uses of `clients/`. */
export const SHARING: readonly Mutation[] = [
  mutation(
    'an-old-answer-lets-go',
    PERMIT,
    'if (again || !this.#suspended.delete(watcher)) continue;',
    'if (!this.#suspended.delete(watcher)) continue;',
  ),
  mutation(
    'a-denied-watch-goes-on',
    PERMIT,
    "else if (leave.kind === 'denied') this.#end(asking, leave.reason);",
    "else if (leave.kind === 'denied') this.#release(asking);",
  ),
  mutation(
    'an-unknown-change-is-none',
    PERMIT,
    'if (now !== undefined && now === this.revision)',
    'if (now === undefined || now === this.revision)',
  ),
  mutation(
    'who-waits-for-an-end-sees-on',
    PERMIT,
    'this.#guard(watcher, () => watcher.feed?.hold(watcher));',
    '',
  ),
  mutation(
    'a-lost-stream-asks-nobody',
    'watch/feed.ts',
    'if (this.#shared.permits.size > 0) this.cursors.suspend();',
    '',
  ),
  mutation(
    'held-watchers-are-pumped',
    'watch/cursors.ts',
    'if (watcher.synced || watcher.held || this.#renderings.has(watcher)) return;',
    'if (watcher.synced || this.#renderings.has(watcher)) return;',
  ),
  mutation(
    'etcds-hole-is-open',
    'watch/request-ticket.ts',
    "else if (this.#refusal !== '') this.#settle({ kind: 'refused', header, reason: this.#refusal });",
    '',
  ),
  mutation(
    'tokens-of-others-vouch',
    'clients/token-users.ts',
    'return this.#users.get(user)?.newest ?? [];',
    'return [...this.#tokens.values()];',
  ),
  mutation(
    'a-new-user-vouches-for-the-old-one',
    `${SHARING_ROOM}/permits.ts`,
    'if (permit.user !== user) continue;',
    'if (permit.user === user) continue;',
  ),
  mutation('auth-revisions-of-two-stores-are-compared', `${SHARING_ROOM}/permits.ts`, 'this.#stores++;', ''),
  mutation(
    'a-dead-token-stays-its-users',
    `${SHARING_ROOM}/permits.ts`,
    "if (leave.kind === 'token') this.#options.users.forget(tokenOf(metadata));",
    '',
  ),
  mutation(
    'what-one-may-read-all-may',
    'cache/cover.ts',
    'return client !== undefined && this.#readers.of(client, this.range).mayRead(now);',
    'return client !== undefined;',
  ),
  mutation(
    'answers-of-one-user-are-for-all',
    'cache/scopes.ts',
    'prefix: UserSponsor.idOf(user) + rest,',
    'prefix: `{}` + rest,',
  ),
  mutation(
    'what-the-proxy-may-not-watch-is-not-remembered',
    'cache/scopes.ts',
    'return this.#scopesOf(reader).find(({ isOwn }) => !isOwn || !this.#isForbidden(range, now));',
    'return this.#scopesOf(reader).find(({ isOwn }) => isOwn || !this.#isForbidden(range, now));',
  ),
];
