/** The flags about TLS, on both sides: a part of the one table of flags. */
import { flag, number } from './flag.ts';
import { SOME } from './limits.ts';

/** In the order of the help. */
export const TLS_FLAGS = {
  cert: flag('string', '', 'client certificate for etcd, without a common name'),
  key: flag('string', '', 'key of the client certificate for etcd'),
  cacert: flag('string', '', 'CA that signs the certificates of etcd; default: those the system trusts'),
  'insecure-skip-tls-verify': flag('boolean', 'false', 'do not verify the certificates of etcd'),
  'insecure-transport': flag(
    'boolean',
    'true',
    'plaintext to endpoints without a scheme unless another flag asks for TLS; false: always TLS',
  ),
  'cert-file': flag('string', '', 'certificate shown to clients; with it, the proxy serves TLS only'),
  'key-file': flag('string', '', 'key of the certificate shown to clients'),
  'trusted-ca-file': flag(
    'string',
    '',
    'CA that client certificates must be signed by; with it, clients must show one',
  ),
  'client-crl-file': flag(
    'string',
    '',
    'revocation list: client certificates with these serial numbers are refused',
  ),
  'client-cn-map': flag(
    'string',
    '',
    'file that names the etcd user of clients by the common name of their certificate, for whom the proxy signs in: docs/identity.md',
  ),
  'listen-cipher-suites': flag(
    'list',
    '',
    'TLS 1.2 cipher suites offered to clients, by the names that Go uses',
  ),
  'tls-min-version': flag('version', 'TLS1.2', 'lowest TLS version for clients: TLS1.2 or TLS1.3'),
  'tls-max-version': flag(
    'version',
    '',
    'highest TLS version for clients: TLS1.2 or TLS1.3; empty: the highest there is',
  ),
  'tls-handshake-timeout': number(
    'duration',
    '10s',
    SOME,
    'time in which a client has to finish its TLS handshake',
  ),
  'auto-tls': flag(
    'boolean',
    'false',
    'serve TLS with a self-signed certificate, kept in --data-dir, unless --cert-file is given',
  ),
  // Zero is refused where it is used. Dates of certificates have years of four digits.
  'self-signed-cert-validity': number(
    'integer',
    '1',
    { least: 0, most: 1000 },
    'years that a self-signed certificate is valid',
  ),
};
