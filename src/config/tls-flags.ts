/** The flags about TLS, on both sides: a part of the one table of flags. */
import { type Flag, flag } from './flag.ts';

/** In the order of the help. */
export const TLS_FLAGS: readonly Flag[] = [
  flag('TLS', 'cert', 'string', '', 'client certificate for etcd, without a common name'),
  flag('TLS', 'key', 'string', '', 'key of the client certificate for etcd'),
  flag(
    'TLS',
    'cacert',
    'string',
    '',
    'CA that signs the certificates of etcd; default: those the system trusts',
  ),
  flag('TLS', 'insecure-skip-tls-verify', 'boolean', 'false', 'do not verify the certificates of etcd'),
  flag(
    'TLS',
    'insecure-transport',
    'boolean',
    'true',
    'plaintext to endpoints without a scheme unless another flag asks for TLS; false: always TLS',
  ),
  flag('TLS', 'cert-file', 'string', '', 'certificate shown to clients; with it, the proxy serves TLS only'),
  flag('TLS', 'key-file', 'string', '', 'key of the certificate shown to clients'),
  flag(
    'TLS',
    'trusted-ca-file',
    'string',
    '',
    'CA that client certificates must be signed by; with it, clients must show one',
  ),
  flag(
    'TLS',
    'client-crl-file',
    'string',
    '',
    'revocation list: client certificates with these serial numbers are refused',
  ),
  flag(
    'TLS',
    'listen-cipher-suites',
    'list',
    '',
    'TLS 1.2 cipher suites offered to clients, by the names that Go uses',
  ),
  flag('TLS', 'tls-min-version', 'version', 'TLS1.2', 'lowest TLS version for clients: TLS1.2 or TLS1.3'),
  flag(
    'TLS',
    'tls-max-version',
    'version',
    '',
    'highest TLS version for clients: TLS1.2 or TLS1.3; empty: the highest there is',
  ),
  flag(
    'TLS',
    'tls-handshake-timeout',
    'duration',
    '10s',
    'time in which a client has to finish its TLS handshake',
  ),
  flag(
    'TLS',
    'auto-tls',
    'boolean',
    'false',
    'serve TLS with a self-signed certificate, kept in --data-dir, unless --cert-file is given',
  ),
  flag('TLS', 'self-signed-cert-validity', 'integer', '1', 'years that a self-signed certificate is valid'),
];
