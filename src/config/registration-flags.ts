/** The flags about what clients are told of this proxy and of others like it: a part of the one table of flags. */
import { flag, number } from './flag.ts';

/** `--advertise-client-url` where nobody has set it: the address that the proxy listens on, whichever that is. */
export const WHERE_IT_LISTENS = 'auto';

/** The longest time that etcd gives a lease. Seconds. */
const LONGEST_TTL = 9_000_000_000;

/** In the order of the help. */
export const REGISTRATION_FLAGS = {
  'advertise-client-url': flag(
    'string',
    WHERE_IT_LISTENS,
    'address under which clients reach this proxy: it is registered, and told to clients that ask for the members of the cluster; auto: the one it listens on, or that the client dialled; empty: clients are told the members of etcd',
  ),
  'resolver-prefix': flag(
    'string',
    '',
    'key prefix under which the proxy registers itself, and finds the other proxies that it tells clients of',
  ),
  // The incumbent refuses numbers below 1 only together with a prefix, in words of its own.
  'resolver-ttl': number(
    'integer',
    '0',
    { least: Number.MIN_SAFE_INTEGER, most: LONGEST_TTL },
    'seconds after which the registration of a proxy that died is gone; goes with --resolver-prefix',
  ),
};
