/**
 * The flags that are about TLS, read together: which side speaks it, with what, and which combinations make no
 * sense. A flag that promises protection the proxy would not give stops the start.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Endpoint } from '../net/endpoint.ts';
import { opensslSuite } from '../tls/cipher-suites.ts';
import type {
  ClientTlsSettings,
  FlaggedFile,
  KeyPairFiles,
  SelfSigned,
  ServerTlsSettings,
} from '../tls/settings.ts';
import { type Config, type FlagOf, isDefault } from './config.ts';
import type { FlagName } from './flags.ts';
import { listeningOf } from './listening.ts';
import { UsageError } from './usage-error.ts';

/** @throws UsageError with one line that names the flags that do not fit together */
export function checkTls(config: Config): void {
  const server = serverTls(config);
  clientTls(config);
  discoveryTls(config);
  endpoints(config);
  if (config['client-cn-map'] !== '' && server?.ca === undefined)
    throw new UsageError(
      '--client-cn-map needs --trusted-ca-file: only certificates that were verified say who a client is',
    );
  if (server === undefined) {
    if (config['trusted-ca-file'] !== '')
      throw new UsageError(
        '--trusted-ca-file needs TLS to clients: --cert-file and --key-file, or --auto-tls',
      );
    for (const { flag, address } of listeningOf(config)) requireTls(address, flag);
    for (const address of config['metrics-addr']) requireTls(address, '--metrics-addr');
  } else {
    for (const { flag, address } of listeningOf(config)) {
      if (address.scheme !== 'http') continue;
      throw new UsageError(`${flag}=${address.name} says plaintext, and --cert-file or --auto-tls says TLS`);
    }
  }
}

/** Flags that only narrow down what TLS to clients allows. */
const NARROWING = ['client-crl-file', 'listen-cipher-suites', 'tls-min-version', 'tls-max-version'] as const;

/** A flag that was given and changes nothing. */
export interface Ineffective {
  readonly flag: FlagName;
  readonly reason: string;
}

/** The flags about TLS that have no effect beside the others, which etcd's proxy takes all the same. */
export function ineffectiveTls(config: Config): Ineffective[] {
  const given = (name: FlagName): boolean => !isDefault(config, name);
  if (serverTls(config) === undefined)
    return NARROWING.filter(given).map((flag) => ({ flag, reason: 'clients speak plaintext' }));
  if (!given('client-crl-file') || given('trusted-ca-file')) return [];
  return [{ flag: 'client-crl-file', reason: 'without --trusted-ca-file no client shows a certificate' }];
}

function requireTls({ secure, name }: Endpoint, flag: string): void {
  if (secure) throw new UsageError(`${flag}=${name} needs --cert-file and --key-file, or --auto-tls`);
}

/** TLS to clients; undefined: plaintext. @throws UsageError */
export function serverTls(config: Config): ServerTlsSettings | undefined {
  const pair = keyPair(config, 'cert-file', 'key-file') ?? selfSigned(config);
  const ca = file(config, 'trusted-ca-file');
  // Without an authority no client shows a certificate that could be in the list.
  const crl = ca && file(config, 'client-crl-file');
  const minVersion = config['tls-min-version'] ?? 'TLSv1.2';
  const maxVersion = config['tls-max-version'] ?? 'TLSv1.3';
  if (minVersion > maxVersion) {
    throw new UsageError('--tls-min-version is higher than --tls-max-version');
  }
  if (pair === undefined) return undefined;
  const cipherSuites = suites(config);
  if (minVersion === 'TLSv1.3' && cipherSuites.length > 0) {
    throw new UsageError(
      '--listen-cipher-suites has no effect on TLS 1.3, and --tls-min-version allows no other',
    );
  }
  const handshakeTimeout = config['tls-handshake-timeout'];
  return { pair, ca, crl, cipherSuites, minVersion, maxVersion, handshakeTimeout };
}

/** TLS to etcd, for the endpoints that want it. @throws UsageError */
export function clientTls(config: Config): ClientTlsSettings {
  return {
    pair: keyPair(config, 'cert', 'key'),
    ca: file(config, 'cacert'),
    verify: !config['insecure-skip-tls-verify'],
  };
}

/**
 * Decides about TLS to an endpoint as etcd's tools do: the scheme goes first; an address without one gets TLS when a flag
 * about TLS is given. Undefined: the flags do not allow this endpoint.
 */
export function deciding(config: Config): (endpoint: Endpoint) => Endpoint | undefined {
  const plaintext = config['insecure-transport'];
  const { pair, ca, verify } = clientTls(config);
  const secure = !plaintext || pair !== undefined || ca !== undefined || !verify;
  return (endpoint) => {
    if (endpoint.scheme === undefined) return { ...endpoint, secure };
    return plaintext || endpoint.secure ? endpoint : undefined;
  };
}

/**
 * The endpoints of etcd that were written down.
 * @throws UsageError
 */
export function endpoints(config: Config): readonly Endpoint[] {
  const decide = deciding(config);
  return config.endpoints.map((endpoint) => {
    const decided = decide(endpoint);
    if (decided !== undefined) return decided;
    throw new UsageError(
      `--insecure-transport=false asks for TLS, and --endpoints=${endpoint.name} says plaintext`,
    );
  });
}

/** TLS to discovery services. @throws UsageError */
export function discoveryTls(config: Config): ClientTlsSettings {
  return {
    pair: keyPair(config, 'discovery-cert', 'discovery-key'),
    ca: file(config, 'discovery-cacert'),
    verify: true,
  };
}

/** The file that says who clients are to etcd; undefined: there is none. */
export function clientUsersFile(config: Config): FlaggedFile | undefined {
  return file(config, 'client-cn-map');
}

function file(config: Config, name: FlagOf<'string'>): FlaggedFile | undefined {
  const path = config[name];
  return path === '' ? undefined : { flag: `--${name}`, path };
}

function keyPair(
  config: Config,
  certFlag: FlagOf<'string'>,
  keyFlag: FlagOf<'string'>,
): KeyPairFiles | undefined {
  const [cert, key] = [file(config, certFlag), file(config, keyFlag)];
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert !== undefined) throw new UsageError(`--${certFlag} needs --${keyFlag}`);
  if (key !== undefined) throw new UsageError(`--${keyFlag} needs --${certFlag}`);
  return undefined;
}

function selfSigned(config: Config): SelfSigned | undefined {
  if (!config['auto-tls']) return undefined;
  const years = config['self-signed-cert-validity'];
  if (years === 0) throw new UsageError('--self-signed-cert-validity must be greater than 0');
  const hosts = [...new Set(listeningOf(config).flatMap(({ address }) => hostsOf(address)))];
  // The incumbent's place, so that its certificate is used again.
  return { folder: join(config['data-dir'], 'fixtures', 'proxy'), years, hosts };
}

/** The names under which clients reach an address. */
function hostsOf({ target, serverName }: Endpoint): string[] {
  const everywhere = 'path' in target || ['', '0.0.0.0', '::'].includes(target.host);
  return everywhere ? ['localhost', hostname(), '127.0.0.1', '::1'] : [serverName];
}

function suites(config: Config): string[] {
  try {
    return config['listen-cipher-suites'].map(opensslSuite);
  } catch (error) {
    throw new UsageError(`--listen-cipher-suites: ${(error as Error).message}`);
  }
}
