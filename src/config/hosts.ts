/** The names by which the proxy may be called, as far as its flags say them. */
import { type Endpoint, parseEndpoint } from '../net/endpoint.ts';
import type { Config } from './config.ts';
import { listeningOf } from './listening.ts';
import { advertisedOf } from './registration.ts';

/** Any name. */
const ANY = '*';

/**
 * Whether a host name is one of the proxy's own: what it listens on or advertises, or was told by `--host-whitelist`.
 * Names are in lower case.
 */
export function ownHosts(config: Config): (name: string) => boolean {
  const listening = [...listeningOf(config).map(({ address }) => address), ...config['metrics-addr']].flatMap(
    hostOf,
  );
  const advertised = advertisedHost(advertisedOf(config) ?? '');
  const names = new Set([...config['host-whitelist'], ...listening, ...advertised].map(lowerCase));
  return (name) => names.has(name) || names.has(ANY);
}

function hostOf({ target }: Endpoint): string[] {
  return 'host' in target && target.host !== '' ? [target.host] : [];
}

/** None, when it is no address: nothing else depends on it. */
function advertisedHost(text: string): string[] {
  try {
    return hostOf(parseEndpoint(text));
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}
