/**
 * What TLS to clients is made of at one time, read from the files.
 */
import type { X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { TLS_1_3_SUITES } from './cipher-suites.ts';
import { contextOf, readAuthorities, readFlagged, readKeyPair } from './files.ts';
import type { Loaded } from './reloading.ts';
import { parseRevocationList, type RevocationList } from './revocation-list.ts';
import type { KeyPairFiles, ServerTlsSettings } from './settings.ts';

/** The certificate, authorities and revoked serial numbers that handshakes use. */
export interface ServerState extends Loaded {
  readonly context: SecureContextOptions & { readonly sessionIdContext: string };
  readonly revoked: RevocationList | undefined;
  /** The certificate that clients are shown. */
  readonly leaf: X509Certificate;
}

/** @throws TlsFileError when a file cannot be used */
export async function loadServerState(
  settings: ServerTlsSettings,
  files: KeyPairFiles,
): Promise<ServerState> {
  const { cert, key, leaf } = readKeyPair(files);
  const ca = settings.ca === undefined ? undefined : readAuthorities(settings.ca);
  const revoked =
    settings.crl === undefined
      ? undefined
      : await parseRevocationList(settings.crl, readFlagged(settings.crl));
  const context: ServerState['context'] = {
    cert,
    key,
    minVersion: settings.minVersion,
    maxVersion: settings.maxVersion,
    // Sessions are only resumed on a listener of this proxy; each state has ticket keys of its own.
    sessionIdContext: 'etcd-connect-proxy',
    honorCipherOrder: true,
    // As in Go, an intermediate authority in the file is trusted without its root.
    allowPartialTrustChain: true,
    ...(ca === undefined ? {} : { ca }),
    ...ciphers(settings),
  };
  contextOf(files.cert, context);
  return { context, revoked, leaf, expires: new Date(leaf.validTo) };
}

function ciphers({ cipherSuites }: ServerTlsSettings): { readonly ciphers?: string } {
  if (cipherSuites.length === 0) return {};
  return { ciphers: [...TLS_1_3_SUITES, ...cipherSuites].join(':') };
}
