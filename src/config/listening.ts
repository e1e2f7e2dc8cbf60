/** Where clients of etcd's API come in, as the flags say. */
import type { Endpoint } from '../net/endpoint.ts';
import { type Config, isGiven } from './config.ts';

/** An address, the flag that names it, and the namespace of whoever comes in there; empty: none. */
export interface Listening {
  readonly flag: string;
  readonly address: Endpoint;
  readonly namespace: string;
}

/** All of them; the first one is what the proxy says that it listens on. */
export function listeningOf(config: Config): readonly [Listening, ...Listening[]] {
  const { namespace } = config;
  const own = { flag: '--listen-addr', address: config['listen-addr'], namespace };
  const urls = config['listen-client-urls'].map((address) => ({
    flag: '--listen-client-urls',
    address,
    namespace,
  }));
  // The v2 proxy's flag stands in for the other one, unless both are given.
  const [first = own, ...others] = isGiven(config, 'listen-addr') ? [own, ...urls] : urls;
  const within = config['listen-namespace'].map(({ address, prefix }) => ({
    flag: '--listen-namespace',
    address,
    namespace: prefix,
  }));
  return [first, ...others, ...within];
}
