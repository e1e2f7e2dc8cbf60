/**
 * The addresses of an endpoint's name, looked up anew for each connection. Each begins with another one: where one name
 * stands for several members, a connection to one that hangs says nothing of the others. Those that cannot be connected are
 * passed over within the same attempt (Happy Eyeballs, RFC 8305).
 */
import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Endpoint } from '../net/endpoint.ts';

const lookups = new WeakMap<Endpoint, LookupFunction>();

/** How an endpoint's name is looked up. */
export function lookupOf(endpoint: Endpoint): LookupFunction {
  const known = lookups.get(endpoint) ?? turning();
  lookups.set(endpoint, known);
  return known;
}

function turning(): LookupFunction {
  let turn = 0;
  return (host, options, done) =>
    dns.lookup(host, options, (error, found, family) => {
      if (Array.isArray(found)) done(error, turned(found, turn++));
      else done(error, found, family);
    });
}

/** The addresses of each family in another order; which family comes when stays, since that is the system's to say. */
function turned(addresses: readonly dns.LookupAddress[], turn: number): dns.LookupAddress[] {
  const places = new Map<number, number>();
  return addresses.map(({ family }) => {
    const same = addresses.filter((address) => address.family === family);
    const at = places.get(family) ?? 0;
    places.set(family, at + 1);
    return same[(at + turn) % same.length] as dns.LookupAddress;
  });
}
