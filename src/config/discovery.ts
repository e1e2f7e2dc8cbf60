/** The flags by which endpoints are looked for, read together. */
import type { Endpoint } from '../net/endpoint.ts';
import { type Config, isDefault, isGiven } from './config.ts';
import { discoveryTls, endpoints } from './tls.ts';
import { UsageError } from './usage-error.ts';

/** What makes a command line one of the v2 proxy. etcd takes a fallback beside any of it; only discovery gives it an effect. */
const OF_V2_PROXY = [
  'discovery',
  'discovery-token',
  'discovery-srv',
  'initial-cluster',
  'proxy',
  'listen-client-urls',
] as const;

/** @throws UsageError with one line that names the flags that do not fit together, and nothing secret */
export function checkDiscovery(config: Config): void {
  discoveryUrl(config);
  if ((config['discovery-token'] === '') !== (config['discovery-endpoints'].length === 0))
    throw new UsageError('--discovery-token and --discovery-endpoints need each other');
  if (config['discovery-srv'] === '' && config['discovery-srv-name'] !== '')
    throw new UsageError('--discovery-srv-name needs --discovery-srv');
  const exits = (['discovery-fallback', 'proxy-fallback'] as const).find((flag) => config[flag] === 'exit');
  if (exits !== undefined && OF_V2_PROXY.every((flag) => isDefault(config, flag)))
    throw new UsageError(`--${exits}=exit needs --discovery or --discovery-token`);
  const seeds = ['initial-cluster', 'discovery', 'discovery-token'] as const;
  const given = seeds.filter((flag) => config[flag].length > 0);
  if (given.length > 1)
    throw new UsageError(`--${given[0]} and --${given[1]} name the members of the same cluster: choose one`);
}

/** The URL of a cluster at a discovery service; undefined: none is given. @throws UsageError that does not show it: it may have a password */
export function discoveryUrl(config: Config): URL | undefined {
  const text = config.discovery;
  if (text === '') return undefined;
  const url = URL.parse(text);
  const isHost = /^(?:[\w.-]+|\[[\da-f:.]+\])$/i.test(url?.hostname ?? '');
  if (url === null || !/^https?:$/.test(url.protocol) || !isHost || !/[^/]/.test(url.pathname))
    throw new UsageError('--discovery wants a URL such as http://host:port/v2/keys/_etcd/registry/TOKEN');
  return url;
}

/** Endpoints of the discovery service of the v3 API; those without a scheme speak TLS where a flag about that is given. */
export function discoveryEndpoints(config: Config): readonly Endpoint[] {
  const { pair, ca } = discoveryTls(config);
  const secure = pair !== undefined || ca !== undefined;
  return config['discovery-endpoints'].map((endpoint) =>
    endpoint.scheme === undefined ? { ...endpoint, secure } : endpoint,
  );
}

/** How often it is looked again, in milliseconds: the flag of the v2 proxy counts where the other one is not given. */
export function refreshInterval(config: Config): number {
  const flag = 'discovery-refresh-interval';
  return isGiven(config, flag) ? config[flag] : config['proxy-refresh-interval'];
}

/** Whether the process ends when the cluster at the discovery service has all its members, instead of serving it. */
export function exitsWhenFull(config: Config): boolean {
  const fallbacks = [config['discovery-fallback'], config['proxy-fallback']];
  return config.proxy === undefined && fallbacks.includes('exit');
}

/** Whether members are looked for at their peer ports. */
export function asksPeers(config: Config): boolean {
  return config['initial-cluster'].length > 0 || config.discovery !== '' || config['discovery-token'] !== '';
}

/**
 * The endpoints that were written down, which are for a cluster that is found in another way no more than a help. Their
 * default is none then: somebody else's etcd may be there.
 * @throws UsageError
 */
export function fixedEndpoints(config: Config): readonly Endpoint[] {
  const finds = asksPeers(config) || config['discovery-srv'] !== '';
  return finds && !isGiven(config, 'endpoints') ? [] : endpoints(config);
}
