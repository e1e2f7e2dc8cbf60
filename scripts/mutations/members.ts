/** Ways to break the registration and the member list. */
import { type Mutation, mutation } from './mutation.ts';

const ENTRY = 'members/proxy-entry.ts';
const LEASED = 'members/leased-entry.ts';
const LIST = 'members/members.ts';
const ADDRESS = 'members/own-address.ts';
const PROXIES = 'members/registered-proxies.ts';
const REGISTRATION = 'members/registration.ts';
const WATCH = 'members/key-watch.ts';

/** The mutations of `members/`. */
export const MEMBERS: readonly Mutation[] = [
  mutation('no-escapes-of-go', ENTRY, '/[<>&\\u2028\\u2029]/g', '/[]/g'),
  mutation('no-slash-behind-the-prefix', ENTRY, 'prefix}/$', 'prefix}$'),
  mutation(
    'any-value-is-a-proxy',
    ENTRY,
    "typeof name === 'string' ? { address, member: memberField(name, address) } : undefined",
    '{ address, member: memberField(String(name), address) }',
  ),
  mutation('a-dead-lease-is-kept', LEASED, 'else this.#lease = undefined;', ''),
  mutation(
    'revokes-another-lease',
    LEASED,
    'Lease.LeaseRevoke, leaseRequest(this.#lease)',
    'Lease.LeaseRevoke, leaseRequest(1n)',
  ),
  mutation('a-lost-lease-is-nothing', REGISTRATION, "this.#lost('lease');", 'return;'),
  mutation('a-deleted-key-is-nothing', REGISTRATION, "this.#lost('key');", 'return;'),
  mutation('hears-of-puts-too', WATCH, '?.isDelete)', ')'),
  mutation('beats-once', REGISTRATION, 'while (await this.#stands());', 'await this.#stands();'),
  mutation(
    'waits-for-etcd-for-ever',
    REGISTRATION,
    'late.reject(RpcError.deadlineExceeded()), REVOKE_MS',
    '{}, REVOKE_MS',
  ),
  mutation('the-first-list-stays', PROXIES, 'this.#of.applied === store.applied', 'this.#last.length > 0'),
  mutation(
    'tells-every-listener-of-all',
    LIST,
    'own.isInMainNamespace(asker) ?',
    'asker.authority !== null ?',
  ),
  mutation('tells-what-nobody-dials', ADDRESS, 'DIALLED.test(authority) ?', "authority === '' ?"),
  mutation('believes-any-authority', ADDRESS, 'DIALLED.test(authority) ?', 'true ?'),
];
